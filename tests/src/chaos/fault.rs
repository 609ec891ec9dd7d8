//! What can be done to agents, gateway, broker, disks, clocks and lines.

use std::fmt;

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// kill -9 of an agent, at any instant or in mid-write; it is started again.
    KillAgent,
    /// SIGSTOP of an agent, then SIGCONT.
    StopAgent,
    /// An agent is killed and wakes up in another boot of its device.
    Reboot,
    /// A device's wall clock jumps: to 1970, by years, by minutes.
    Clock,
    /// A device's connection is cut, and new ones are refused.
    Cut,
    /// Everything to and from a device takes long.
    Delay,
    /// A device's line carries only a few bytes a second.
    Throttle,
    /// A byte of a device's next message is changed.
    Corrupt,
    /// A device writes many times as much as usual.
    Flood,
    /// The disk of a device's spool is full.
    FullSpool,
    /// A device with a small spool is offline until the oldest must be dropped.
    Overflow,
    /// kill -9 of the gateway, at any instant or in mid-commit; it is started again.
    KillGateway,
    /// SIGSTOP of the gateway, then SIGCONT.
    StopGateway,
    /// The gateway's wall clock jumps.
    GatewayClock,
    /// The disk of archive and ledger is full.
    FullArchive,
    /// The gateway's connection to its broker is cut.
    CutGateway,
    /// kill -9 of the broker; it is started again with what it had stored.
    KillBroker,
    /// SIGSTOP of the broker, then SIGCONT.
    StopBroker,
    /// kill -9 of the broker; its store is removed before it is started again.
    WipeBroker,
    /// The broker believes another time, and time that runs at another speed.
    BrokerClock,
}

impl Fault {
    /// Every fault.
    pub(super) const ALL: [Self; 20] = [
        Self::KillAgent,
        Self::StopAgent,
        Self::Reboot,
        Self::Clock,
        Self::Cut,
        Self::Delay,
        Self::Throttle,
        Self::Corrupt,
        Self::Flood,
        Self::FullSpool,
        Self::Overflow,
        Self::KillGateway,
        Self::StopGateway,
        Self::GatewayClock,
        Self::FullArchive,
        Self::CutGateway,
        Self::KillBroker,
        Self::StopBroker,
        Self::WipeBroker,
        Self::BrokerClock,
    ];

    /// Its name in what is printed.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::KillAgent => "kill-agent",
            Self::StopAgent => "stop-agent",
            Self::Reboot => "reboot",
            Self::Clock => "clock",
            Self::Cut => "cut",
            Self::Delay => "delay",
            Self::Throttle => "throttle",
            Self::Corrupt => "corrupt",
            Self::Flood => "flood",
            Self::FullSpool => "full-spool",
            Self::Overflow => "overflow",
            Self::KillGateway => "kill-gateway",
            Self::StopGateway => "stop-gateway",
            Self::GatewayClock => "gateway-clock",
            Self::FullArchive => "full-archive",
            Self::CutGateway => "cut-gateway",
            Self::KillBroker => "kill-broker",
            Self::StopBroker => "stop-broker",
            Self::WipeBroker => "wipe-broker",
            Self::BrokerClock => "broker-clock",
        }
    }

    /// How long it lasts, in milliseconds, from and to; 0 for what is over at once.
    pub(super) const fn lasts_ms(self) -> (u64, u64) {
        match self {
            Self::Clock | Self::Corrupt | Self::GatewayClock | Self::BrokerClock => (0, 0),
            Self::KillAgent | Self::KillGateway | Self::KillBroker | Self::WipeBroker => (10, 2_500),
            Self::Reboot | Self::Flood => (200, 2_500),
            Self::StopAgent | Self::StopGateway | Self::StopBroker => (100, 5_000),
            Self::Cut | Self::CutGateway => (100, 6_000),
            Self::Delay | Self::Throttle => (1_000, 6_000),
            Self::FullSpool | Self::FullArchive => (1_000, 6_000),
            // It is not drawn as the others are: most of the round.
            Self::Overflow => (0, 0),
        }
    }

    /// Whether there must be a broker of its own, not the gateway's.
    pub(super) const fn needs_broker(self) -> bool {
        matches!(self, Self::CutGateway | Self::KillBroker | Self::StopBroker | Self::WipeBroker)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
