//! What is asked: every list, as a page and as a REST answer, plain, sorted, filtered and far from its beginning.
//!
//! In: a filled catalog. Out: a table with the CPU time of each answer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use silhouette_e2e::Catalog;
use silhouette_e2e::catalog::{OWNER, PASSWORD};

use crate::client::{Client, Headers};
use crate::{estate, spent};

/// How often each is asked for.
const TIMES: usize = 9;

/// Asks for all of them; how many answers that was.
pub(crate) async fn ask(catalog: &Catalog) -> Result<usize> {
    let rest = Client::new(
        &catalog.url(),
        vec![("x-auth", catalog.rest().key().to_owned())],
    );
    let person = sign_in(&catalog.url()).await?;
    let find = async |path: &str| -> Result<String> {
        let list: Value = serde_json::from_slice(&rest.get(path).await?)?;
        let id = list["items"][0]["id"].as_str();
        id.map(str::to_owned)
            .with_context(|| format!("{path} lists nothing"))
    };
    // The first API is linked, documented, drifts and has findings; nothing else is as costly.
    let api = find(&format!("/api/v1/apis?host={}", estate::host(0))).await?;
    let revisions: Value =
        serde_json::from_slice(&rest.get(&format!("/api/v1/apis/{api}/revisions")).await?)?;
    let revisions = revisions["items"].as_array().context("revisions")?;
    let observed = revisions
        .iter()
        .filter(|revision| revision["kind"] != "documented");
    let observed: Vec<&str> = observed
        .filter_map(|revision| revision["id"].as_str())
        .collect();
    let known = BTreeMap::from([
        ("{api}", api.clone()),
        (
            "{new}",
            (*observed.first().context("a revision")?).to_owned(),
        ),
        (
            "{old}",
            (*observed.last().context("a revision")?).to_owned(),
        ),
        ("{source}", find("/api/v1/sources?sort=name").await?),
        (
            "{definition}",
            find(&format!("/api/v1/apis/{api}/definitions")).await?,
        ),
        ("{scan}", find("/api/v1/scans").await?),
        ("{finding}", find("/api/v1/findings").await?),
        ("{target}", find("/api/v1/targets").await?),
    ]);
    let mut answers = 0;
    for (title, client, paths) in [("page", &person, PAGES), ("REST answer", &rest, ANSWERS)] {
        println!("\n| {title} | CPU, ms | most | KiB |\n|---|---|---|---|");
        for path in paths {
            let filled = known
                .iter()
                .fold((*path).to_owned(), |path, (gap, id)| path.replace(gap, id));
            let cost = measure(client, &filled).await?;
            answers += TIMES + 1;
            println!(
                "| `{path}` | {:.1} | {:.1} | {} |",
                cost.median,
                cost.most,
                cost.bytes / 1024
            );
        }
    }
    Ok(answers)
}

struct Cost {
    median: f64,
    most: f64,
    bytes: usize,
}

async fn measure(client: &Client, path: &str) -> Result<Cost> {
    let bytes = client.get(path).await?.len();
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let before = spent::by_threads();
        client.get(path).await?;
        times.push(spent::by_threads().saturating_sub(before) as f64 / 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(Cost {
        median: times[TIMES / 2],
        most: times[TIMES - 1],
        bytes,
    })
}

/// A session, as a browser gets one.
async fn sign_in(url: &str) -> Result<Client> {
    let stranger = Client::new(url, Vec::new());
    let cookies = |headers: &hyper::HeaderMap| -> Vec<String> {
        let set = headers.get_all("set-cookie").iter();
        set.filter_map(|value| Some(value.to_str().ok()?.split(';').next()?.to_owned()))
            .collect()
    };
    let form = stranger
        .send(Method::GET, "/sign-in", Headers::new(), Bytes::new())
        .await?;
    let kept = cookies(&form.headers).join("; ");
    let page = String::from_utf8_lossy(&form.body).into_owned();
    let (_, rest) = page.split_once("name=\"csrf\"").context("a csrf token")?;
    let csrf = rest.split('"').nth(1).context("its value")?;
    let fields = format!(
        "csrf={csrf}&next=%2F&email={}&password={}",
        OWNER.replace('@', "%40"),
        PASSWORD.replace(' ', "+")
    );
    let headers = vec![
        (
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
        ("cookie", kept),
        ("sec-fetch-site", "same-origin".to_owned()),
    ];
    let answer = stranger
        .send(Method::POST, "/sign-in", headers, fields.into())
        .await?;
    ensure!(
        answer.status.is_redirection(),
        "signing in: {} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    Ok(Client::new(
        url,
        vec![("cookie", cookies(&answer.headers).join("; "))],
    ))
}

const PAGES: &[&str] = &[
    "/",
    "/sources",
    "/sources/{source}",
    "/discovery",
    "/discovery?sort=operations",
    "/discovery?sort=-operations",
    "/discovery?sort=name&page=60",
    "/discovery?sort=-updated&page=100",
    "/discovery?sort=discovered",
    "/discovery?q=api-77",
    "/discovery?q=nothing-like-it",
    "/discovery?source={source}",
    "/discovery?hidden=yes",
    "/discovery?drift=any",
    "/discovery?seen=both",
    "/catalog",
    "/catalog?sort=target",
    "/catalog?sort=-vulnerabilities",
    "/catalog?sort=-scanned",
    "/catalog?sort=-drift&page=50",
    "/catalog?q=api-77",
    "/catalog/{api}/endpoints",
    "/apis/{api}",
    "/apis/{api}?sort=-calls&page=2",
    "/apis/{api}?sort=-vulnerabilities",
    "/apis/{api}?q=things",
    "/apis/{api}/schema",
    "/apis/{api}/revisions",
    "/apis/{api}/diff?old={old}&new={new}",
    "/apis/{api}/drift",
    "/apis/{api}/callers",
    "/apis/{api}/findings",
    "/targets",
    "/targets?sort=-apis",
    "/targets?sort=url&page=60",
    "/targets?q=api-77",
    "/scans",
    "/audit",
    "/audit?page=20",
    "/settings/users",
    "/settings/roles",
    "/settings/keys",
];

const ANSWERS: &[&str] = &[
    "/api/v1/overview",
    "/api/v1/overview/found",
    "/api/v1/apis",
    "/api/v1/apis?pageSize=200",
    "/api/v1/apis?pageSize=200&sort=name&pageNumber=50",
    "/api/v1/apis?pageSize=200&sort=-operations",
    "/api/v1/apis?pageSize=200&sort=-vulnerabilities",
    "/api/v1/apis?host=api-77.example.com",
    "/api/v1/api-hosts?pageSize=200",
    "/api/v1/api-hosts?pageSize=200&pageNumber=50",
    "/api/v1/apis/{api}",
    "/api/v1/apis/{api}/fitting-targets",
    "/api/v1/apis/{api}/operations?pageSize=200",
    "/api/v1/apis/{api}/definitions",
    "/api/v1/apis/{api}/revisions",
    "/api/v1/apis/{api}/drift?pageSize=200",
    "/api/v1/apis/{api}/callers",
    "/api/v1/definitions/{definition}",
    "/api/v1/definitions/{definition}/revisions",
    "/api/v1/revisions/{new}",
    "/api/v1/revisions/{new}/document",
    "/api/v1/revisions/{new}/diff/{old}",
    "/api/v1/revisions/{new}/text-diff/{old}",
    "/api/v1/targets?pageSize=200",
    "/api/v1/targets?pageSize=200&pageNumber=20",
    "/api/v1/targets/{target}",
    "/api/v1/sources",
    "/api/v1/sources/{source}",
    "/api/v1/sources/{source}/collectors",
    "/api/v1/scans",
    "/api/v1/scans/{scan}",
    "/api/v1/findings?pageSize=200",
    "/api/v1/findings?pageSize=200&pageNumber=8",
    "/api/v1/findings/{finding}",
    "/api/v1/audit-log?pageSize=200",
    "/api/v1/audit-log?pageSize=200&pageNumber=20",
    "/api/v1/audit-log/actions",
    "/api/v1/users",
    "/api/v1/roles",
    "/api/v1/keys",
    "/api/v1/me",
    "/api/v1/organisations",
    "/api/v1/permissions",
];
