//! The gateway's storage: ledger, archive, documents, audit, rebuild and cat.

mod audit;
mod cat;
mod crash;
mod documents;
mod files;
mod fixture;
mod rebuild;
