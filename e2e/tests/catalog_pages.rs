//! The catalog's pages in a real browser, with a real collector behind them: from the first sign-in to an API that is linked,
//! unlinked and hidden; by mouse and by keyboard. The steps are in `e2e/browser/catalog.mjs`.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use silhouette_e2e::estate::{Estate, HOST};
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::{browser, catalog, process};

/// Registers by the command that the page shows, as somebody would who copies it.
fn register(estate: &Estate, command: &str) -> Result<()> {
    let words: Vec<&str> = command.split_whitespace().collect();
    ensure!(
        words.starts_with(&["silhouette-collector", "register"]),
        "not a command of the collector: {command}"
    );
    let value = |flag: &str| {
        let at = words.iter().position(|&word| word == flag);
        let value = at.and_then(|at| words.get(at + 1)).copied();
        value.with_context(|| format!("no {flag} in {command}"))
    };
    let (url, token) = (value("--catalog")?, value("--token")?);
    ensure!(
        url == estate.catalog.url(),
        "{url} is not where the catalog is"
    );
    catalog::register(&estate.collector, url, token)
}

#[test]
fn people_turn_discovered_apis_into_known_ones() -> Result<()> {
    let estate = Estate::start()?;
    let given = json!({
        "base": estate.catalog.url(),
        "email": catalog::OWNER,
        "password": catalog::PASSWORD,
        "source": "Bookshop's gateway",
        "host": HOST,
        "origin": format!("http://{HOST}"),
        "paths": ["/api/v1/books", "/api/v1/me"],
    });
    browser::run("catalog", given, |what, with| match what {
        "register" => register(&estate, with.as_str().context("a command")?).map(|()| Value::Null),
        "traffic" => {
            estate.traffic()?;
            estate.discovered()
        }
        _ => bail!("nobody can do that"),
    })
}

/// Waits until the catalog knows who calls an API.
fn callers(estate: &Estate, api: &str) -> Result<()> {
    let path = format!("/api/v1/apis/{api}/callers");
    let known = || {
        let page = estate.catalog.rest().get(&path);
        page.is_ok_and(|page| page["items"].as_array().is_some_and(|all| !all.is_empty()))
    };
    process::wait_until("the catalog knows who calls", PATIENCE, known)
        .with_context(|| estate.catalog.log())
}

#[test]
fn pages_that_are_full_can_be_read_and_used_by_everybody() -> Result<()> {
    let estate = Estate::start()?;
    let given = json!({
        "base": estate.catalog.url(),
        "email": catalog::OWNER,
        "password": catalog::PASSWORD,
        "host": HOST,
        "origin": format!("http://{HOST}"),
    });
    browser::run("inventory", given, |what, _| match what {
        "traffic" => {
            estate.catalog.register(&estate.collector, "edge")?;
            estate.traffic()?;
            let api = estate.discovered()?;
            let id = api["id"].as_str().context("an API without an id")?;
            callers(&estate, id)?;
            Ok(id.into())
        }
        _ => bail!("nobody can do that"),
    })
}
