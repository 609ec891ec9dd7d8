//! The ways to fail.

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Area {
    Device,
    Flash,
    Source,
    Carrier,
    Shore,
    Sink,
    Peer,
    Caller,
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident $name:literal $area:ident $weight:literal)+) => {
        /// A way to fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault { $($(#[doc = $doc])+ $fault,)+ }

        impl Fault {
            /// Every fault.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$fault,)+];

            /// Its name on the command line and in traces.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)+ }
            }

            pub(crate) const fn area(self) -> Area {
                match self { $(Self::$fault => Area::$area,)+ }
            }

            /// How often it is drawn, against the others that a world has.
            pub(crate) const fn weight(self) -> u64 {
                match self { $(Self::$fault => $weight,)+ }
            }

            /// What it is, in words.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$fault => concat!($($doc),+),)+ }
            }
        }
    };
}

faults! {
    /// The power fails and comes back.
    PowerCut "power-cut" Device 10
    /// The power fails in the middle of a change of the flash.
    PowerCutInChange "power-cut-in-change" Device 10
    /// The agent is killed.
    Kill "kill" Device 10
    /// The agent is killed in the middle of a change of the flash.
    KillInChange "kill-in-change" Device 10
    /// The device is switched off for minutes to days.
    SwitchedOff "switched-off" Device 3
    /// The agent is stopped by a signal or suspended, and goes on.
    Suspended "suspended" Device 5
    /// The device has no network for a while.
    Offline "offline" Device 10
    /// The device has no network for hours or days, and logs.
    OfflineLong "offline-long" Device 3
    /// A connection seems to be there and carries nothing.
    HalfOpen "half-open" Device 5
    /// A connection breaks.
    Disconnect "disconnect" Device 10
    /// The wall clock is set to another time.
    ClockStep "clock-step" Device 5
    /// A reboot with the clock at 1970.
    Clock1970 "clock-1970" Device 5
    /// The wall clock jumps by years.
    ClockYears "clock-years" Device 3
    /// A reboot after which the monotonic clock runs at another rate.
    Drift "drift" Device 5
    /// The severity from which lines are urgent is changed.
    RouteChange "route-change" Device 4
    /// The spool's durability is changed.
    DurabilityChange "durability-change" Device 4
    /// The overflow policy is changed.
    PolicyChange "policy-change" Device 3
    /// The spool's size is changed.
    SizeChange "size-change" Device 3
    /// The spool is wiped.
    Wipe "wipe" Device 1
    /// The device's disk is copied to another one, and both run.
    Clone "clone" Device 1
    /// The agent speaks a protocol version that the gateway does not know, and later the old one.
    OtherVersion "other-version" Device 2
    /// Syncs report success and do nothing, then the power fails.
    LyingFlash "lying-flash" Flash 3
    /// Bits of the flash change.
    BitFlip "bit-flip" Flash 3
    /// The flash is full.
    FlashFull "flash-full" Flash 6
    /// The flash is read-only.
    FlashReadOnly "flash-read-only" Flash 5
    /// Changes of the flash fail.
    FlashFails "flash-fails" Flash 6
    /// A sync fails, and what it was to make durable may be gone.
    SyncFails "sync-fails" Flash 6
    /// Reads of the flash fail.
    FlashReadFails "flash-read-fails" Flash 4
    /// Each change of the flash takes long.
    SlowFlash "slow-flash" Flash 4
    /// More lines than the device can send.
    Burst "burst" Source 5
    /// A line stays unfinished for a while.
    PartialLine "partial-line" Source 6
    /// A file is renamed and a new one begins.
    Rotation "rotation" Source 8
    /// A file is copied and cut to nothing.
    CopyTruncate "copy-truncate" Source 4
    /// A file is removed.
    Removal "removal" Source 3
    /// After a power cut a file is shorter than what was read of it.
    TailLost "tail-lost" Source 2
    /// Reads of the source files fail.
    SourceFails "source-fails" Source 4
    /// A source file may not be looked at.
    SourceDenied "source-denied" Source 3
    /// A reboot after which the file system has another device number.
    Renumbered "renumbered" Source 2
    /// Messages are lost.
    Loss "loss" Carrier 6
    /// Messages arrive twice.
    Doubling "doubling" Carrier 6
    /// Messages overtake each other.
    Reordering "reordering" Carrier 6
    /// Copies arrive much later.
    Late "late" Carrier 5
    /// Copies arrive days or weeks later.
    WeeksLate "weeks-late" Carrier 2
    /// A bit of a message changes.
    Corruption "corruption" Carrier 4
    /// The broker dies with all it has.
    BrokerLost "broker-lost" Carrier 6
    /// The broker goes away and comes back with what it had.
    BrokerRestart "broker-restart" Carrier 5
    /// The broker forgets the retained messages.
    RetainedLost "retained-lost" Carrier 4
    /// The broker has an old retained message again.
    RetainedStale "retained-stale" Carrier 4
    /// Old traffic of a device is sent again.
    Replay "replay" Carrier 6
    /// The gateway is killed.
    GatewayKill "gateway-kill" Shore 8
    /// The gateway's machine loses its power.
    GatewayPowerCut "gateway-power-cut" Shore 6
    /// The gateway dies in the middle of a commit.
    GatewayInCommit "gateway-in-commit" Shore 10
    /// The gateway is stopped by a signal and goes on.
    GatewayFrozen "gateway-frozen" Shore 4
    /// A commit is durable, and the gateway does not hear of it.
    CommitInDoubt "commit-in-doubt" Shore 5
    /// A commit is not durable, and the gateway does not hear of that.
    CommitLost "commit-lost" Shore 5
    /// The gateway has little memory for items.
    GatewayMemory "gateway-memory" Shore 4
    /// The ledger is lost and made again from the archive.
    LedgerLost "ledger-lost" Shore 2
    /// A second gateway takes over while the first goes on with what it remembers.
    SecondGateway "second-gateway" Shore 4
    /// Commits take long.
    SinkSlow "sink-slow" Sink 6
    /// The archive's disk is full.
    ArchiveFull "archive-full" Sink 5
    /// Syncs of the archive fail.
    ArchiveSyncFails "archive-sync-fails" Sink 4
    /// A sink takes nothing, for seconds to days.
    SinkDown "sink-down" Sink 6
    /// A sink takes a batch and the answer is lost.
    SinkTimesOut "sink-times-out" Sink 5
    /// A sink takes a part of a batch.
    SinkTakesPart "sink-takes-part" Sink 5
    /// A sink rejects blocks for their content.
    SinkRejects "sink-rejects" Sink 4
    /// A sink is added to the configuration.
    SinkAdded "sink-added" Sink 2
    /// A sink is removed from the configuration.
    SinkRemoved "sink-removed" Sink 2
    /// Somebody sends bytes that are no message.
    Garbage "garbage" Peer 4
    /// Somebody sends messages in which bits are changed, under its own name.
    Mutation "mutation" Peer 4
    /// Somebody sends another device's messages under its own name.
    Borrowed "borrowed" Peer 4
    /// Somebody forges numbers, runs, bases and gaps.
    Forgery "forgery" Peer 5
    /// Somebody sends on topics that are none.
    WrongTopic "wrong-topic" Peer 3
    /// Somebody sends blocks that unpack to far too much.
    Bomb "bomb" Peer 3
    /// Somebody sends more than its rate.
    Flood "flood" Peer 2
    /// Everybody wakes up late.
    LateWakeUps "late-wake-ups" Caller 4
}

impl Fault {
    /// The fault of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// Whether one device is concerned, and not the region.
    pub(crate) const fn is_of_device(self) -> bool {
        matches!(self.area(), Area::Device | Area::Flash | Area::Source)
    }

    /// How often it may strike in one world.
    pub(crate) const fn times_max(self) -> u64 {
        match self {
            Self::Clone | Self::Wipe | Self::LedgerLost | Self::SinkAdded | Self::SinkRemoved => 1,
            Self::Flood | Self::SwitchedOff | Self::WeeksLate => 2,
            Self::OfflineLong | Self::Bomb => 3,
            _ => 1_000,
        }
    }
}
