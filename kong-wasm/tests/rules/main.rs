//! Each rule of the strict host shown at work: a small module breaks it and is caught, or sees what a filter sees in Kong.
//!
//! In: WebAssembly text, a real origin, curl. Out: what the host has recorded and what the client got.

mod bodies;
mod calls;
mod instances;
mod loading;
#[path = "../strict/mod.rs"]
mod strict;
mod surroundings;

use std::io::{Read, Write};
use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::{Answer, Origin, curl};
use strict::exchange::{decode_pairs, marshal};
use strict::text::{self, Filter, TABLE};
use strict::{Gateway, Kong, Level, Options};

/// A gateway with one chain for everything, in front of an origin.
struct Stand {
    gateway: Gateway,
    origin: Origin,
}

impl Stand {
    fn of(filter: &Filter, kong: Kong) -> Result<Stand> {
        let origin = Origin::start()?;
        let options = Options {
            kong,
            ..Options::new(origin.address())
        }
        .chain("/", "{}");
        let gateway = Gateway::start(filter.text().as_bytes(), options)?;
        Ok(Stand { gateway, origin })
    }

    fn new(filter: &Filter) -> Result<Stand> {
        Stand::of(filter, Kong::V3_10)
    }

    /// curl on a path; returns when the filter has been told that the exchange is over, or has cost it.
    fn ask(&self, path: &str, arguments: &[&str]) -> Result<Answer> {
        let over = |contents: &strict::record::Contents| contents.logged + contents.refused;
        let before = over(&self.gateway.record().contents());
        let url = self.gateway.url(path);
        let answer = curl(arguments.iter().copied().chain([url.as_str()]))?;
        let record = self.gateway.record();
        record.wait("the exchange's end", PATIENCE, |c| over(c) > before)?;
        Ok(answer)
    }

    /// What the filter has said, at information level.
    fn said(&self) -> String {
        let contents = self.gateway.record().contents();
        let lines = contents
            .log
            .into_iter()
            .filter(|line| line.level == Level::Info);
        lines.map(|line| line.text).collect::<Vec<_>>().join("")
    }
}

fn refused_at_start(filter: &Filter) -> String {
    match Stand::new(filter) {
        Ok(_) => "started".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn a_module_that_keeps_all_rules_is_not_complained_about() -> Result<()> {
    let stand = Stand::new(&Filter::new())?;
    let answer = stand.ask("/json", &["-d", "{}"])?;
    assert_eq!(
        (answer.status, answer.json()?["name"].as_str()),
        (200, Some("odd"))
    );
    stand.gateway.record().is_clean()?;
    let contents = stand.gateway.record().contents();
    assert_eq!(
        (contents.instances, contents.configured, contents.logged),
        (1, 1, 1)
    );
    Ok(())
}
