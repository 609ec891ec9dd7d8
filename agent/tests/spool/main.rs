//! The spool on a simulated flash.

mod appending;
mod crash;
mod model;
mod support;
