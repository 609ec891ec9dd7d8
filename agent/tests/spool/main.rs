//! The spool on a simulated flash.

mod appending;
mod crash;
mod damage;
mod model;
mod room;
mod support;
