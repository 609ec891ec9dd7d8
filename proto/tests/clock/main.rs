//! The clock model in worlds in which the true time is known.
#![cfg(test)]

mod faults;
mod hostile;
mod random;
mod reference;
mod size;
mod steady;
mod world;
