//! The table.

use std::io::{self, Write};
use std::time::Duration;

use super::list::Bug;
use super::options::Options;
use super::verdict::Verdict;
use crate::table::Table;

/// What became of a bug.
#[derive(Clone, Debug)]
pub(super) struct Row<'b> {
    pub(super) bug: &'b Bug,
    pub(super) verdict: Option<Verdict>,
    pub(super) took: Duration,
}

impl Row<'_> {
    fn cells(&self) -> [String; 5] {
        let (caught, seeds) = match &self.verdict {
            None => ("NOT CAUGHT".to_owned(), String::new()),
            Some(verdict) => {
                let what = match (&verdict.test, verdict.seeds) {
                    (Some(test), None) => test.clone(),
                    _ => verdict.sentence.clone(),
                };
                let seeds = verdict.seeds.map_or(String::new(), |seeds| seeds.to_string());
                (format!("{}: {what}", verdict.check), seeds)
            }
        };
        let seconds = format!("{:.1}", self.took.as_secs_f64());
        [self.bug.name.clone(), self.bug.breaks.clone(), caught, seeds, seconds]
    }
}

/// The bugs alone.
pub(super) fn list(out: &mut dyn Write, bugs: &[(usize, &Bug)]) -> io::Result<()> {
    let mut table = Table::new(&["bug", "breaks", "found by"]).with_text(1).with_text(2);
    for (_, bug) in bugs {
        table.row(vec![bug.name.clone(), bug.breaks.clone(), bug.found_by.clone()]);
    }
    table.write(out)
}

/// What caught each.
pub(super) fn write(out: &mut dyn Write, rows: &[Row<'_>], options: &Options) -> io::Result<()> {
    let head = ["bug", "breaks", "caught by", "seeds", "seconds"];
    if options.is_markdown {
        writeln!(out, "| {} |\n| --- | --- | --- | ---: | ---: |", head.join(" | "))?;
        for row in rows {
            writeln!(out, "| {} |", row.cells().map(|cell| cell.replace('|', "\\|")).join(" | "))?;
        }
    } else {
        let mut table = Table::new(&head).with_text(1).with_text(2);
        rows.iter().for_each(|row| table.row(row.cells().to_vec()));
        table.write(out)?;
    }
    let missed: Vec<&str> =
        rows.iter().filter(|row| row.verdict.is_none()).map(|row| row.bug.name.as_str()).collect();
    writeln!(out, "\n{} bugs planted, {} caught", rows.len(), rows.len() - missed.len())?;
    let earlier = rows
        .iter()
        .filter(|row| row.verdict.as_ref().is_some_and(|verdict| verdict.check != row.bug.found_by));
    for row in earlier {
        let check = row.verdict.as_ref().map_or("", |verdict| verdict.check);
        writeln!(out, "{}: expected of {}, found by {check}", row.bug.name, row.bug.found_by)?;
    }
    for name in missed {
        writeln!(out, "NOT CAUGHT: {name}")?;
    }
    Ok(())
}
