//! The overview.

use super::super::answer::{Answer, page, redirect, refused};
use super::super::person::Person;
use super::super::views::chart::{Chart, Point};
use super::super::views::overview::{Overview, Share, Step, Tile};
use super::super::views::{count, thousands};
use super::apis::{row, severities};
use crate::access::Permission;
use crate::inventory::{self, Found, Span};

/// The page. Who may not look at APIs is led to what they may look at.
pub(super) async fn show(person: Person) -> Answer {
    if !person.may(Permission::ViewApis) {
        return Ok(redirect("/settings"));
    }
    let store = &person.app().store;
    let numbers = inventory::overview(store, &person.actor)
        .await
        .map_err(refused)?;
    let all = numbers.discovery + numbers.catalog + numbers.hidden;
    let chart = picture(&person, all).await?;
    let (health, word) = super::sources::health(&person).await?;
    let counts = severities(&numbers.findings);
    let (open, known) = (numbers.drift_in_discovery, numbers.drift_in_catalog);
    let drift = [
        drift_share("Shadow", "shadow", open.shadow, known.shadow),
        drift_share(
            "Contradiction",
            "contradiction",
            open.contradictions,
            known.contradictions,
        ),
        drift_share("Zombie", "zombie", open.zombie, known.zombie),
        drift_share("Orphan", "orphan", open.orphan, known.orphan),
    ];
    let sources = numbers.sources > 0;
    let steps = vec![
        Step {
            title: "Add a source",
            text: "A collector that watches traffic, or documents you have.",
            href: "/sources/new",
            link: "Add a source",
            done: sources,
        },
        Step {
            title: "Let it find APIs",
            text: "A collector registers with one command; a document is imported at once.",
            href: "/sources",
            link: "To the sources",
            done: all > 0,
        },
        Step {
            title: "Link them to targets",
            text: "What is linked is in the catalog, and findings of scanners are matched to it.",
            href: "/discovery",
            link: "To discovery",
            done: numbers.catalog > 0,
        },
        Step {
            title: "Import scan results",
            text: "SARIF of any scanner: vulnerabilities are shown by API and endpoint.",
            href: "/scans",
            link: "To the scans",
            done: counts.total() > 0,
        },
    ];
    let unfinished = person.may(Permission::ManageSources) && steps.iter().any(|step| !step.done);
    let view = Overview {
        next: unfinished.then_some(steps),
        tiles: vec![
            Tile {
                name: "In discovery",
                value: numbers.discovery,
                sub: if numbers.hidden > 0 {
                    format!("{} hidden", count(numbers.hidden, "more", "more"))
                } else {
                    "waiting for a target".to_owned()
                },
                href: "/discovery",
            },
            Tile {
                name: "In the catalog",
                value: numbers.catalog,
                sub: count(numbers.targets, "target", "targets"),
                href: "/catalog",
            },
            Tile {
                name: "Operations",
                value: numbers.operations,
                sub: format!("{} seen in traffic", thousands(numbers.observed)),
                href: "",
            },
            Tile {
                name: "Shadow operations",
                value: open.shadow + known.shadow,
                sub: "seen, not documented".to_owned(),
                href: if open.shadow > 0 || known.shadow == 0 {
                    "/discovery?drift=shadow"
                } else {
                    "/catalog?drift=shadow"
                },
            },
            Tile {
                name: "Open findings",
                value: counts.total(),
                sub: format!("{} critical or high", counts.critical + counts.high),
                href: "/catalog?severity=any",
            },
            Tile {
                name: "Sources",
                value: numbers.sources,
                sub: word,
                href: "/sources",
            },
        ],
        chart,
        severities: counts,
        severity_bars: shares(
            counts
                .each()
                .map(|(class, name, count)| Share::new(name, class, count)),
        ),
        drift_bars: if drift.iter().all(|share| share.count == 0) {
            Vec::new()
        } else {
            shares(drift)
        },
        newest: numbers
            .newest
            .into_iter()
            .map(|api| row(api, person.now))
            .collect(),
        sources: health,
        shell: person.shell("/").await?,
    };
    Ok(page(&view))
}

/// A kind of drift: where there is some of it, that list is a click away.
fn drift_share(name: &'static str, class: &'static str, open: u64, known: u64) -> Share {
    let places = [
        ("discovery", "discovery", open),
        ("catalog", "the catalog", known),
    ];
    Share {
        places: places
            .into_iter()
            .filter(|(_, _, count)| *count > 0)
            .map(|(path, place, count)| {
                let href = format!("/{path}?drift={class}");
                (href, format!("{} in {place}", thousands(count)))
            })
            .collect(),
        ..Share::new(name, class, open + known)
    }
}

/// Bars as long as their part of the longest.
fn shares<const N: usize>(mut of: [Share; N]) -> Vec<Share> {
    let most = of.iter().map(|share| share.count).max().unwrap_or(0).max(1);
    for share in &mut of {
        share.width = match share.count {
            0 => 0,
            count => (count * 100 / most).max(2),
        };
    }
    of.into()
}

/// Five weeks by day; when everything is older, a year by week.
async fn picture(person: &Person, all: u64) -> Result<Chart, axum::response::Response> {
    let store = &person.app().store;
    let ask = |span, spans| inventory::found(store, &person.actor, span, spans, person.now);
    let days = ask(Span::Day, 35).await.map_err(refused)?;
    let recent: u64 = days.iter().map(|found| found.apis).sum();
    let (found, step) = if recent < all {
        (ask(Span::Week, 52).await.map_err(refused)?, "week")
    } else {
        (days, "day")
    };
    if all == 0 {
        return Ok(Chart::default());
    }
    Ok(Chart::new(points(&found, all), step))
}

/// What is known at the end of each span; what came before the first is known from its beginning.
fn points(found: &[Found], all: u64) -> Vec<Point> {
    let within: u64 = found.iter().map(|found| found.apis).sum();
    let mut known = all.saturating_sub(within);
    // Spans before anything was known are left out, but for a few to begin with.
    let first = found.iter().position(|found| found.apis > 0).unwrap_or(0);
    let skip = if known == 0 {
        first.saturating_sub(6)
    } else {
        0
    };
    found
        .iter()
        .enumerate()
        .filter_map(|(at, found)| {
            known += found.apis;
            (at >= skip).then(|| Point {
                day: found.from.rfc3339().chars().take(10).collect(),
                found: found.apis,
                known,
            })
        })
        .collect()
}
