//! `cargo demo`: the product's main job in a minute, in view, and counted at the end.
//!
//! Real agents and a real gateway (this binary, started again) carry log lines while a script cuts
//! networks, kills processes, bends clocks, floods and corrupts. At the end two independent counts
//! say whether every line arrived exactly once and in order.

mod display;
mod elsewhere;
mod ending;
mod options;
mod screen;
mod script;
mod servers;
mod view;
mod world;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use display::Display;
use ending::Ending;
use options::{Options, Request};
use script::{Act, script};
use view::{Event, View};
use world::World;

use crate::clock;
use crate::corpus::read_input;
use crate::place;
use crate::rebuilt;
use crate::watch::{Drained, Watch};

const TICK: Duration = Duration::from_millis(50);
/// Time for everything to come in once nothing is written any more.
const DRAIN_WAIT: Duration = Duration::from_secs(60);

/// Runs the demo; the arguments are those behind `demo`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let options = match Request::parse(args.clone()) {
        Ok(Request::Run(options)) if options.with.has_kafka && !rebuilt::HAS_KAFKA => {
            let _ = writeln!(io::stderr().lock(), "demo: {}", rebuilt::with_kafka("demo", &args));
            return ExitCode::FAILURE;
        }
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => {
            let _ = io::stdout().lock().write_all(options::HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            let _ = writeln!(io::stderr().lock(), "demo: {problem}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "\ndemo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it; whether the promise was kept.
fn run(options: &Options) -> io::Result<bool> {
    let input = options.input.as_deref().map(read_input).transpose()?;
    let folder = place::prepare(options.keep.as_deref())?;
    introduce(options)?;
    let mut world = World::start(&folder, options, input.as_ref())?;
    let mut stage = Stage::new(&world, options);
    stage.play(&mut world, options)?;
    world.stop_writing()?;
    let drained = stage.drain(&mut world)?;
    let ending = Ending::count(&folder, &mut world)?;
    drop(stage);
    ending.write(&mut world, drained, &mut io::stdout().lock())?;
    Ok(ending.is_good() && drained.is_some())
}

fn introduce(options: &Options) -> io::Result<()> {
    let lines = match &options.input {
        Some(path) => format!("the lines of {}", path.display()),
        None => format!("generated lines (seed {})", options.seed),
    };
    writeln!(
        io::stdout().lock(),
        "Each device has an agent that tails log files, into which {lines} are\n\
         written all the while and which are rotated. The agent seals what it reads into a spool on flash and\n\
         sends it over MQTT; it forgets a line only when the gateway has it in its archive. Watch what happens\n\
         when networks, processes and clocks fail. (\"on shore\" is what the device knows to be safe.)\n"
    )
}

/// What is shown while the script is played.
struct Stage {
    began: Instant,
    watch: Watch,
    view: View,
    display: Display,
}

impl Stage {
    fn new(world: &World, options: &Options) -> Self {
        let view = View { time: options.time, ..View::default() };
        let began = clock::now();
        let states = world.units.iter().map(|unit| unit.device.state()).collect();
        let watch = Watch::start(states, world.shore.page());
        let mut stage = Self { began, watch, view, display: Display::new() };
        let unset = world.units.iter().find(|unit| unit.clock.is_some());
        if let Some(unit) = unset {
            stage.tell(true, format!("{} wakes up with its clock at 1970", unit.device.name()));
        }
        stage
    }

    fn tell(&mut self, is_blow: bool, what: String) {
        self.view.events.push(Event { at: clock::now() - self.began, is_blow, what });
    }

    /// Does what the script says, when it says so.
    fn play(&mut self, world: &mut World, options: &Options) -> io::Result<()> {
        let mut steps = script(options.time, options.devices, options.seed).into_iter().peekable();
        loop {
            let elapsed = clock::now() - self.began;
            if elapsed >= options.time {
                return Ok(());
            }
            if let Some(step) = steps.next_if(|step| step.at <= elapsed) {
                let what = world.act(step.act)?;
                self.tell(is_blow(step.act), what);
            }
            self.tick(world)?;
        }
    }

    /// Waits until every agent says that all is acknowledged; how long it took, if it came to that.
    fn drain(&mut self, world: &mut World) -> io::Result<Option<Duration>> {
        let began = clock::now();
        let mut drained = Drained::default();
        let lines: Vec<u64> = world.units.iter().map(|unit| unit.journal.lines()).collect();
        while clock::now() < began + DRAIN_WAIT {
            let since = drained.hear(&self.watch.said(), &lines);
            self.tick(world)?;
            if let Some(since) = since {
                self.display.show(&self.view, true)?;
                return Ok(Some(since - began));
            }
        }
        self.display.show(&self.view, true)?;
        Ok(None)
    }

    fn tick(&mut self, world: &mut World) -> io::Result<()> {
        world.check()?;
        self.view.update(world, &self.watch.said(), clock::now() - self.began);
        self.display.show(&self.view, false)?;
        std::thread::sleep(TICK);
        Ok(())
    }
}

fn is_blow(act: Act) -> bool {
    !matches!(act, Act::Mend(_) | Act::StartAgent(_) | Act::StartGateway | Act::Calm(_))
}
