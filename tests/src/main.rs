//! The binary `driftlog`: agent, gateway, demo and figures in one, told apart by the first argument.
fn main() {
    driftlog_tests::process::end_with_parent();
}
