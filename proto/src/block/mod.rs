//! Records, packed: being built.
