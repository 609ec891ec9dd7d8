//! The checks, in the order in which they are tried: first the one that is expected to catch a bug,
//! then the simulated worlds, which judge by what came out, and the suites of single parts.

use super::list::Bug;
use super::options::Options;

/// What is built and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Program {
    pub(super) package: &'static str,
    /// A suite or a binary by its name; the package's own tests where there is none.
    pub(super) suite: Option<&'static str>,
    /// The binary itself, not tests.
    pub(super) is_binary: bool,
}

/// A check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    /// Its name in the list and in the table.
    pub(super) name: &'static str,
    pub(super) program: Program,
    pub(super) args: &'static [&'static str],
    /// How it takes seeds, if it does.
    pub(super) seeds: Option<Seeds>,
}

/// Seeds of a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeds {
    pub(super) given: Given,
    pub(super) count: u64,
    /// Fewer are tried where `--seeds` asks for it; those of the pair are quick, and needed.
    pub(super) may_be_fewer: bool,
    /// How many at first; then twice as many, and so on.
    pub(super) first: u64,
}

/// How a check is told its seeds, as `from..to`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    /// Behind this option.
    Option(&'static str),
    /// In this variable.
    Variable(&'static str),
}

const fn suite(package: &'static str, suite: &'static str) -> Program {
    Program { package, suite: Some(suite), is_binary: false }
}

const fn own(package: &'static str) -> Program {
    Program { package, suite: None, is_binary: false }
}

const fn plain(name: &'static str, program: Program) -> Check {
    Check { name, program, args: &[], seeds: None }
}

const PAIR: &str = "every_sealed_record_comes_out_once_and_in_order_or_is_declared_lost";

/// All checks, in the order of their cost.
pub(super) const CHECKS: [Check; 15] = [
    Check {
        name: "sim",
        program: Program { package: "driftlog-tests", suite: Some("driftlog"), is_binary: true },
        args: &["sim", "--no-shrink", "--no-known", "--jobs", "1"],
        seeds: Some(Seeds { given: Given::Option("--seeds"), count: 1000, may_be_fewer: true, first: 10 }),
    },
    Check {
        name: "pair",
        program: suite("driftlog-proto", "pair"),
        args: &["--exact", PAIR],
        seeds: Some(Seeds {
            given: Given::Variable("DRIFTLOG_PAIR_SEEDS"),
            count: 2000,
            may_be_fewer: false,
            first: 100,
        }),
    },
    Check {
        name: "pair scenarios",
        program: suite("driftlog-proto", "pair"),
        args: &["--skip", PAIR],
        seeds: None,
    },
    Check { name: "sim scenarios", program: own("driftlog-tests"), args: &["sim::scenarios"], seeds: None },
    plain("sender", suite("driftlog-proto", "sender")),
    plain("receiver", suite("driftlog-proto", "receiver")),
    plain("spool", suite("driftlog-agent", "spool")),
    plain("region", suite("driftlog-gateway", "region")),
    plain("storage", suite("driftlog-gateway", "storage")),
    plain("clock", suite("driftlog-proto", "clock")),
    plain("wire", suite("driftlog-proto", "wire")),
    plain("lines", suite("driftlog-proto", "lines")),
    plain("agent", own("driftlog-agent")),
    plain("gateway", own("driftlog-gateway")),
    plain("proto", own("driftlog-proto")),
];

/// The checks that are tried for a bug, in this order.
pub(super) fn tried_for(bug: &Bug, options: &Options) -> impl Iterator<Item = &'static Check> {
    let is_expected = |check: &&Check| check.name == bug.found_by;
    let others = CHECKS.iter().filter(move |check| !is_expected(check));
    CHECKS.iter().filter(is_expected).chain(others.take(if options.is_expected { 0 } else { CHECKS.len() }))
}

/// The checks that are tried for any of these bugs.
pub(super) fn needed<'b>(
    bugs: impl Iterator<Item = &'b Bug> + Clone,
    options: &Options,
) -> Vec<&'static Check> {
    let is_needed = |check: &&Check| {
        bugs.clone().any(|bug| tried_for(bug, options).any(|tried| tried.name == check.name))
    };
    CHECKS.iter().filter(is_needed).collect()
}
