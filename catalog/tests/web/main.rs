//! The pages, asked over their router, on both databases: who gets in, what a form needs, what is escaped, who sees what.

mod apis;
mod browser;
mod decisions;
#[path = "../documents/mod.rs"]
mod documents;
mod door;
#[path = "../people/mod.rs"]
mod people;
mod scans;
mod settings;
mod sources;
#[path = "../stores/mod.rs"]
mod stores;
