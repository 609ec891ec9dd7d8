//! What a program may weigh (`cross/budgets.toml`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::target::Target;

/// Bytes by target and program.
#[derive(Debug)]
pub(crate) struct Budgets(BTreeMap<String, BTreeMap<String, u64>>);

impl Budgets {
    /// Reads them.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        let budgets = toml::from_str(&text);
        budgets.map(Self).map_err(|error| io::Error::other(format!("{}: {error}", file.display())))
    }

    /// What a program weighs beside its budget, if it has one.
    pub(crate) fn weigh(&self, target: Target, program: &'static str, bytes: u64) -> Weighed {
        let bytes_max = self.0.get(target.name()).and_then(|programs| programs.get(program)).copied();
        Weighed { target, program, bytes, bytes_max }
    }
}

/// A program on the scales.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weighed {
    target: Target,
    program: &'static str,
    bytes: u64,
    bytes_max: Option<u64>,
}

impl Weighed {
    /// Whether it is too heavy.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes_max.is_some_and(|bytes_max| self.bytes > bytes_max)
    }
}

impl fmt::Display for Weighed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} {:16} {:>9} bytes", self.target.name(), self.program, self.bytes)?;
        match self.bytes_max {
            Some(bytes_max) if self.is_over() => {
                write!(f, ", OVER its budget of {bytes_max} by {}", self.bytes - bytes_max)
            }
            Some(bytes_max) => write!(f, ", budget {bytes_max}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_over_the_budget_is_over_and_says_so() {
        let agents = BTreeMap::from([("driftlog-agent".to_owned(), 10)]);
        let budgets = Budgets(BTreeMap::from([("armv7".to_owned(), agents)]));
        assert!(!budgets.weigh(Target::Armv7, "driftlog-agent", 10).is_over());
        let over = budgets.weigh(Target::Armv7, "driftlog-agent", 11);
        assert!(over.is_over());
        assert!(over.to_string().contains("OVER its budget of 10 by 1"), "{over}");
        assert!(!budgets.weigh(Target::X86_64, "driftlog-agent", 11).is_over(), "it has none");
    }

    #[test]
    fn every_agent_and_gateway_has_a_budget_and_armv7_has_the_designs() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("budgets.toml");
        let budgets = Budgets::read(&file).unwrap();
        for target in Target::ALL {
            for recipe in target.recipes().iter().filter(|recipe| recipe.name != "driftlog-writer") {
                assert!(budgets.weigh(target, recipe.name, 0).bytes_max.is_some(), "{target:?}: {recipe:?}");
            }
        }
        assert_eq!(budgets.weigh(Target::Armv7, "driftlog-agent", 0).bytes_max, Some(2_000_000));
    }
}
