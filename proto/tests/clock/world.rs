//! A device, its clock, a line and a gateway in which the true time is known.

use driftlog_proto::clock::{BOUND_UNKNOWN, Basis, DeviceClock, Heard, Line};
use driftlog_proto::ids::{AckNumber, BootId, Lane};
use driftlog_proto::message::{Reading, Returned};
use driftlog_proto::time::{ClockState, Mono, Unix};

/// 2026-09-01: the true time at which every world begins.
pub(crate) const BEGIN: i64 = 1_788_220_800_000_000_000;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1_000_000_000;
pub(crate) const DAY: u64 = 86_400 * S;

/// What may happen next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Time passes.
    Run(u64),
    /// From now on the device's clock runs this much too fast, parts per million.
    Drift(i32),
    /// The device sends a message that takes so long; the answer takes so long.
    Send { up: u64, ack: u64 },
    /// The device writes a block of this length.
    Write { lane: Lane, span: u64 },
    /// The device sends so many blocks of its backlog, quickly, and the gateway delivers them.
    Deliver { lane: Lane, blocks: usize },
    /// The gateway commits what it delivered.
    Commit { lane: Lane },
    /// The commit fails: what was delivered comes again.
    Rewind { lane: Lane },
    /// Power is lost for so long.
    Reboot(u64),
    /// The device's wall clock is set to this, whatever the time.
    Wall(i64, ClockState),
    /// The gateway restarts from its ledger.
    Reload,
}

/// A block that was written: when in truth, and what the device's clocks showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) boot: BootId,
    pub(crate) mono: (Mono, Mono),
    pub(crate) truth: (i64, i64),
    pub(crate) wall: (Unix, ClockState),
}

#[derive(Default)]
struct Log {
    blocks: Vec<Block>,
    delivered: usize,
    committed: usize,
}

struct OnAir {
    due: i64,
    what: Sent,
}

enum Sent {
    Message { boot: BootId, reading: Reading, ack: u64 },
    Ack { sent: Unix },
}

pub(crate) struct World {
    pub(crate) clock: DeviceClock,
    pub(crate) now: i64,
    pub(crate) lines: Vec<(Block, Line)>,
    pub(crate) boot: BootId,
    pub(crate) contradictions: usize,
    /// Monotonic time in units of 1e-6 ns, so that no fraction is lost.
    mono_e6: u128,
    drift_ppm: i32,
    wall: (i64, ClockState),
    returned: Option<Returned>,
    air: Vec<OnAir>,
    logs: [Log; 2],
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            clock: DeviceClock::new(),
            now: BEGIN,
            lines: Vec::new(),
            boot: BootId([1; 16]),
            contradictions: 0,
            mono_e6: 3_000_000_000_000_000,
            drift_ppm: 0,
            wall: (0, ClockState::Unset),
            returned: None,
            air: Vec::new(),
            logs: Default::default(),
        }
    }

    pub(crate) fn mono(&self) -> Mono {
        Mono(u64::try_from(self.mono_e6 / 1_000_000).unwrap())
    }

    fn pass(&mut self, ns: u64) {
        self.now += i64::try_from(ns).unwrap();
        // The true time is what counts; a device that is x ppm fast shows 1 + x/1e6 of it.
        self.mono_e6 += u128::from(ns) * u128::try_from(1_000_000 + self.drift_ppm).unwrap();
        self.wall.0 = self.wall.0.saturating_add(i64::try_from(ns).unwrap());
    }

    /// Time passes, and what is on the air arrives in its order.
    pub(crate) fn run(&mut self, ns: u64) {
        let end = self.now + i64::try_from(ns).unwrap();
        loop {
            let next =
                self.air.iter().enumerate().min_by_key(|(_, sent)| sent.due).map(|(at, s)| (at, s.due));
            match next.filter(|(_, due)| *due <= end) {
                Some((at, due)) => {
                    self.pass(u64::try_from(due.max(self.now) - self.now).unwrap());
                    let sent = self.air.swap_remove(at);
                    self.arrive(sent.what);
                }
                None => break,
            }
        }
        self.pass(u64::try_from(end - self.now).unwrap());
    }

    fn arrive(&mut self, what: Sent) {
        match what {
            Sent::Message { boot, reading, ack } => {
                if self.clock.handle_message(boot, &reading, Unix(self.now)) == Heard::Contradiction {
                    self.contradictions += 1;
                }
                let due = self.now + i64::try_from(ack).unwrap();
                self.air.push(OnAir { due, what: Sent::Ack { sent: Unix(self.now) } });
            }
            Sent::Ack { sent } => {
                let number = AckNumber { generation: 1, counter: 1 };
                self.returned = Some(Returned { number, sent, heard: self.mono() });
            }
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading { mono: self.mono(), wall: Unix(self.wall.0), clock: self.wall.1, returned: self.returned }
    }

    pub(crate) fn send(&mut self, up: u64, ack: u64) {
        let what = Sent::Message { boot: self.boot, reading: self.reading(), ack };
        self.air.push(OnAir { due: self.now + i64::try_from(up).unwrap(), what });
    }

    /// A message and its answer, each taking so long, twice: a closed round trip.
    pub(crate) fn exchange(&mut self, delay: u64) {
        for _ in 0..2 {
            self.send(delay, delay);
            self.run(2 * delay);
        }
    }

    pub(crate) fn write(&mut self, lane: Lane, span: u64) {
        let (first, from, wall) = (self.mono(), self.now, (Unix(self.wall.0), self.wall.1));
        self.run(span);
        let block = Block { boot: self.boot, mono: (first, self.mono()), truth: (from, self.now), wall };
        self.logs[lane.index()].blocks.push(block);
    }

    pub(crate) fn deliver(&mut self, lane: Lane, blocks: usize) {
        self.send(5 * MS, 5 * MS);
        self.run(5 * MS);
        for _ in 0..blocks {
            let log = &mut self.logs[lane.index()];
            let Some(&block) = log.blocks.get(log.delivered) else { break };
            log.delivered += 1;
            let line = self.clock.line(lane, block.boot, block.mono, block.wall.0, block.wall.1);
            self.lines.push((block, line));
        }
    }

    pub(crate) fn commit(&mut self, lane: Lane) {
        let log = &mut self.logs[lane.index()];
        for block in &log.blocks[log.committed..log.delivered] {
            self.clock.handle_delivered(lane, block.boot, block.mono.1);
        }
        log.committed = log.delivered;
    }

    pub(crate) fn reboot(&mut self, ns: u64) {
        self.run(ns);
        let next = u128::from_be_bytes(self.boot.0) + 1;
        self.boot = BootId(next.to_be_bytes());
        self.mono_e6 = 0;
        self.wall = (0, ClockState::Unset);
        self.returned = None;
        // A retained Ack may still be heard by the next boot: those on the air stay there.
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match *step {
            Step::Run(ns) => self.run(ns),
            Step::Drift(ppm) => self.drift_ppm = ppm,
            Step::Send { up, ack } => self.send(up, ack),
            Step::Write { lane, span } => self.write(lane, span),
            Step::Deliver { lane, blocks } => self.deliver(lane, blocks),
            Step::Commit { lane } => self.commit(lane),
            Step::Rewind { lane } => {
                let log = &mut self.logs[lane.index()];
                log.delivered = log.committed;
                self.clock.handle_rewound(lane);
            }
            Step::Reboot(ns) => self.reboot(ns),
            Step::Wall(wall, state) => self.wall = (wall, state),
            Step::Reload => {
                let bytes = self.clock.encode();
                let loaded = DeviceClock::decode(&bytes).expect("what was written can be read");
                assert_eq!(loaded, self.clock);
                self.clock = loaded;
            }
        }
    }

    /// Every line that was given promises what is true, or promises nothing.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.lines.iter().try_for_each(|(block, line)| holds(block, line))
    }
}

/// Whether the true time of both ends of a block lies within the line's bound.
pub(crate) fn holds(block: &Block, line: &Line) -> Result<(), String> {
    if line.basis == Basis::Device {
        return if line.bound_ns == BOUND_UNKNOWN { Ok(()) } else { Err(format!("{line:?}")) };
    }
    for (mono, truth) in [(block.mono.0, block.truth.0), (block.mono.1, block.truth.1)] {
        let error = line.time(mono).0.abs_diff(truth);
        if error > line.bound_ns {
            return Err(format!("{error} ns from the truth, {} promised: {block:?} {line:?}", line.bound_ns));
        }
    }
    Ok(())
}
