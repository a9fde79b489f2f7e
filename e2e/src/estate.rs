//! A small organisation: a bookshop behind nginx with the module, a collector that learns it, a catalog to tell.
//!
//! In: on which database. Out: all of them running, the collector not yet registered; traffic on demand. Revisions settle within
//! seconds, so that a test need not wait for what people would not notice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bookshop::Bookshop;
use crate::nginx::capturing;
use crate::play::{Play, play};
use crate::{Catalog, Collector, Nginx, Rest, process};

/// The host that clients call the bookshop by.
pub const HOST: &str = "books.example";

/// Everything, running.
#[derive(Debug)]
pub struct Estate {
    // In this order they end: what sends before what takes.
    nginx: Nginx,
    _shop: Bookshop,
    /// Learns the bookshop.
    pub collector: Collector,
    /// To be told.
    pub catalog: Catalog,
}

impl Estate {
    /// With a catalog on SQLite.
    pub fn start() -> Result<Estate> {
        Self::with(Catalog::start(CATALOG)?)
    }

    /// With a catalog on PostgreSQL.
    pub fn start_on_postgres() -> Result<Estate> {
        Self::with(Catalog::start_on_postgres(CATALOG)?)
    }

    fn with(catalog: Catalog) -> Result<Estate> {
        let shop = Bookshop::start()?;
        let collector = Collector::start(COLLECTOR)?;
        let nginx = Nginx::start(1, |layout| {
            capturing(layout, &collector.url(), &shop.url(), "")
        })?;
        Ok(Estate {
            nginx,
            _shop: shop,
            collector,
            catalog,
        })
    }

    /// People use the bookshop, until everything it can do was called; the collector has learnt all of it then.
    pub fn traffic(&self) -> Result<()> {
        let what = Play {
            base: self.nginx.url(""),
            host: Some(HOST.to_owned()),
            people: 8,
            rate: None,
            requests: 3_600,
            time: Duration::from_secs(600),
            seed: 1,
        };
        let runtime = tokio::runtime::Runtime::new()?;
        let summary = runtime.block_on(play(what, Arc::default()))?;
        ensure!(
            summary.failures == 0,
            "requests without an answer: {:?}",
            summary.reasons
        );
        self.nginx
            .drained(summary.responses, Duration::from_secs(60))
            .map(drop)
    }

    /// Waits until the catalog has the bookshop, with all its operations: the API.
    pub fn discovered(&self) -> Result<serde_json::Value> {
        let rest: &Rest = self.catalog.rest();
        let mut api = None;
        process::wait_until(
            "the catalog has the bookshop",
            Duration::from_secs(60),
            || {
                api = rest.api_of(HOST).ok().flatten();
                let operations = api.as_ref().and_then(|api| api["operations"].as_u64());
                operations == Some(crate::bookshop::OPERATIONS.len() as u64)
            },
        )
        .with_context(|| format!("the last that was seen: {api:?}"))?;
        api.context("it was seen")
    }
}

const CATALOG: &[&str] = &["--heartbeat", "1s", "--offline-after", "10s"];
const COLLECTOR: &[&str] = &[
    "--settle",
    "1s",
    "--settle-limit",
    "3s",
    "--seen-interval",
    "1s",
];
