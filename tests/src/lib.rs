//! What crosses crates: real agents and real gateways as processes, bad lines between them, logs
//! to carry, and a comparison of what arrived with what was written.
//!
//! The binary `driftlog` runs itself again as agent or gateway, so that kill -9 is real and
//! nothing else has to be built or installed. [`demo`] shows it, [`figures`] measures it, [`sim`],
//! [`chaos`], [`powercut`] and the suites in `tests/` try to break it, [`planted`] proves that they would notice.

pub mod access;
pub mod chaos;
pub mod clock;
pub mod compare;
pub mod corpus;
pub mod count;
pub mod demo;
pub mod device;
pub mod exit;
pub mod figures;
pub mod image;
pub mod machine;
pub mod onboard;
pub mod place;
pub mod planted;
pub mod ports;
pub mod powercut;
pub mod process;
pub mod proxy;
pub mod rebuilt;
pub mod servers;
pub mod shore;
pub mod sim;
pub mod table;
pub mod usage;
pub mod watch;
pub mod writer;
