//! The gateway's storage: ledger, archive, documents, audit, rebuild and cat.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod cat;
mod crash;
mod documents;
mod files;
mod fixture;
mod rebuild;
