//! What the inventory is filled with: revisions from collectors, and what people do with what was found.
//!
//! In: a size. Out: an inventory, and what each kind of act cost. Each host's revisions come in order, hosts in parallel, as
//! collectors have it; documents are made and packed by those who push.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::Method;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use silhouette_e2e::Catalog;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::{Size, spent};

/// Collectors; each pushes two hosts at a time, as they do.
const COLLECTORS: usize = 4;
const AT_ONCE: usize = 2;
/// One API in so many has a documented definition too.
const DOCUMENTED: usize = 50;

pub(crate) async fn fill(catalog: &Catalog, size: Size) -> Result<()> {
    let template = document(size.operations);
    let sample = text(&template, 0, 1);
    println!(
        "Documents of {} KiB, {} KiB as they are sent.\n",
        sample.len() / 1024,
        pack(&sample)?.len() / 1024
    );
    let rest = Client::new(
        &catalog.url(),
        vec![("x-auth", catalog.rest().key().to_owned())],
    );
    let mut collectors = Vec::new();
    for number in 0..COLLECTORS {
        collectors.push(register(catalog, &rest, number).await?);
    }
    println!("| what | how many | in a second | CPU each, ms |\n|---|---|---|---|");
    for revision in 1..=size.revisions {
        let label = format!("revision {revision} of each API");
        let cost = Cost::begin();
        push(&collectors, size, Act::Revision(revision), &template).await?;
        cost.end(&label, size.apis);
    }
    let cost = Cost::begin();
    push(&collectors, size, Act::Repeat(size.revisions), &template).await?;
    cost.end("the same revision again", size.apis);
    let cost = Cost::begin();
    push(&collectors, size, Act::Seen, &template).await?;
    cost.end("report of what was seen", size.apis);
    people(&rest, size, &template).await
}

/// Time and CPU since it began.
struct Cost(Instant, u64);

impl Cost {
    fn begin() -> Cost {
        Cost(Instant::now(), spent::in_all())
    }

    fn end(self, what: &str, times: usize) {
        let seconds = self.0.elapsed().as_secs_f64();
        let cpu = spent::in_all().saturating_sub(self.1) as f64 / 1e6;
        let times = times as f64;
        println!(
            "| {what} | {times} | {:.0} | {:.2} |",
            times / seconds,
            cpu / times
        );
    }
}

async fn register(catalog: &Catalog, rest: &Client, number: usize) -> Result<Client> {
    let source = json!({ "name": format!("edge {number}"), "kind": "traffic-analyzer" });
    let made = rest.json(Method::POST, "/api/v1/sources", &source).await?;
    let source = made["id"].as_str().context("a source's id")?;
    let made = rest
        .json(
            Method::POST,
            &format!("/api/v1/sources/{source}/tokens"),
            &json!({}),
        )
        .await?;
    let token = made["token"].as_str().context("a token")?;
    let stranger = Client::new(
        &catalog.url(),
        vec![("authorization", format!("Bearer {token}"))],
    );
    let instance = format!("00000000-0000-4000-8000-{number:012}");
    let new =
        json!({ "instance": instance, "name": format!("collector {number}"), "version": "0.1.0" });
    let made = stranger
        .json(Method::POST, "/collector/v1/registrations", &new)
        .await?;
    let credential = made["credential"].as_str().context("a credential")?;
    Ok(Client::new(
        &catalog.url(),
        vec![("authorization", format!("Bearer {credential}"))],
    ))
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Revision(usize),
    /// Under a new number, with more calls, what was said before.
    Repeat(usize),
    Seen,
}

/// Every collector does it for each of its hosts.
async fn push(collectors: &[Client], size: Size, act: Act, template: &str) -> Result<()> {
    let mut tasks = JoinSet::new();
    for lane in 0..COLLECTORS * AT_ONCE {
        let (collector, template) = (collectors[lane % COLLECTORS].clone(), template.to_owned());
        tasks.spawn(async move {
            for api in (lane..size.apis).step_by(COLLECTORS * AT_ONCE) {
                match act {
                    Act::Revision(revision) => {
                        let text = text(&template, api, revision);
                        send(&collector, api, revision, &contract(&text), &text).await?;
                    }
                    Act::Repeat(latest) => {
                        let said = contract(&text(&template, api, latest));
                        let grown =
                            text(&template, api, latest).replace("\"calls\":", "\"calls\":9");
                        send(&collector, api, latest + 1, &said, &grown).await?;
                    }
                    Act::Seen => seen(&collector, api, size.operations).await?,
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn send(
    collector: &Client,
    api: usize,
    sequence: usize,
    contract: &str,
    text: &str,
) -> Result<()> {
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("content-encoding", "gzip".to_owned()),
        ("silhouette-contract", contract.to_owned()),
        ("silhouette-emitted", "2026-03-02T08:00:00Z".to_owned()),
    ];
    let path = format!("/collector/v1/hosts/{}/revisions/{sequence}", host(api));
    collector
        .done(Method::PUT, &path, headers, pack(text)?)
        .await?;
    Ok(())
}

async fn seen(collector: &Client, api: usize, operations: usize) -> Result<()> {
    let operations: Vec<Value> = (0..operations.div_ceil(2))
        .flat_map(|number| ["GET", "POST"].map(|method| (method, path(number))))
        .map(|(method, path)| {
            json!({ "method": method, "path": format!("/v1{path}"), "calls": 31_000 + api,
                "firstSeen": "2026-01-01T00:00:00Z", "lastSeen": "2026-03-02T08:00:00Z" })
        })
        .collect();
    let callers: Vec<Value> = (0..5)
        .map(|n| json!({ "kind": "client", "name": format!("10.0.0.{n}"), "calls": 10 + n, "lastSeen": "2026-03-02T08:00:00Z" }))
        .collect();
    let report = json!({ "at": "2026-03-02T08:00:00Z", "exchanges": 40_000, "firstSeen": "2026-01-01T00:00:00Z",
        "lastSeen": "2026-03-02T08:00:00Z", "operations": operations, "callers": callers });
    let path = format!("/collector/v1/hosts/{}/seen", host(api));
    collector.json(Method::PUT, &path, &report).await?;
    Ok(())
}

/// Half of what was found is linked, some is documented, a scanner has found something.
async fn people(rest: &Client, size: Size, template: &str) -> Result<()> {
    let mut ids = Vec::new();
    for page in 1..=size.apis.div_ceil(200) {
        let path = format!("/api/v1/apis?sort=name&pageSize=200&pageNumber={page}");
        let list: Value = serde_json::from_slice(&rest.get(&path).await?)?;
        let items = list["items"].as_array().context("items")?;
        ids.extend(
            items
                .iter()
                .filter_map(|api| api["id"].as_str().map(str::to_owned)),
        );
    }
    let linked: Vec<&String> = ids.iter().step_by(2).collect();
    let cost = Cost::begin();
    for some in linked.chunks(100) {
        rest.json(
            Method::POST,
            "/api/v1/bulk/create-targets",
            &json!({ "apiIds": some }),
        )
        .await?;
    }
    cost.end("target created and API linked, 100 at a time", linked.len());
    let source = json!({ "name": "written", "kind": "upload" });
    let source = rest.json(Method::POST, "/api/v1/sources", &source).await?;
    let cost = Cost::begin();
    let documented: Vec<usize> = (0..size.apis).step_by(DOCUMENTED).collect();
    for &api in &documented {
        // Written for another state than what is seen, so that there is drift.
        let text = text(template, api, 1).replace("things-4\"", "things-four\"");
        let import = json!({ "sourceId": source["id"], "name": host(api), "text": text });
        rest.json(Method::POST, "/api/v1/imports", &import).await?;
    }
    cost.end("documented definition uploaded", documented.len());
    let results: Vec<Value> = (0..size.apis.min(2_000))
        .map(|api| {
            let uri = format!("https://{}/v1{}", host(api), path(api % 3));
            let level = ["error", "warning", "note"][api % 3];
            json!({ "ruleId": format!("R{}", api % 7), "level": level, "message": { "text": "Found." },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri } } }] })
        })
        .collect();
    let report = json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "scanner" } }, "results": results }] });
    let cost = Cost::begin();
    rest.json(Method::POST, "/api/v1/scans", &report).await?;
    cost.end("finding of one report", results.len());
    Ok(())
}

pub(crate) fn host(api: usize) -> String {
    format!("api-{api}.example.com")
}

fn path(number: usize) -> String {
    if number.is_multiple_of(3) {
        format!("/things-{number}")
    } else {
        format!("/things-{number}/{{id}}/parts")
    }
}

/// The document of one API at one revision.
fn text(template: &str, api: usize, revision: usize) -> String {
    template
        .replace("HOST", &host(api))
        .replace("\"added\"", &format!("\"added{revision}\""))
}

fn contract(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn pack(text: &str) -> Result<Bytes> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes())?;
    Ok(packed.finish()?.into())
}

/// What a collector emits, with gaps for the host and for what a revision adds.
fn document(operations: usize) -> String {
    let mut paths = Map::new();
    for number in 0..operations.div_ceil(2) {
        let member = |name: &str| {
            let kind = ["string", "integer", "boolean"][(number + name.len()) % 3];
            json!({ "type": kind, "description": format!("{name} of thing {number}") })
        };
        let mut properties = Map::new();
        for name in [
            "id",
            "name",
            "state",
            "createdAt",
            "updatedAt",
            "owner",
            "amount",
            "currency",
        ] {
            properties.insert(format!("{name}{}", number % 10), member(name));
        }
        if number == 0 {
            properties.insert("added".to_owned(), json!({ "type": "boolean" }));
        }
        let body = json!({ "application/json": { "schema": { "type": "object", "required": [format!("id{}", number % 10)],
            "properties": properties } } });
        let parameters = if number.is_multiple_of(3) {
            json!([])
        } else {
            json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } }])
        };
        let seen = json!({ "calls": 100 + number, "errorShare": 0.01, "firstSeen": "2026-01-01T00:00:00Z", "lastSeen": "2026-02-01T00:00:00Z" });
        let responses = json!({ "200": { "description": "OK", "content": body } });
        let get = json!({ "operationId": format!("getThings{number}"), "parameters": parameters, "responses": responses, "x-silhouette": seen });
        let mut post = get.clone();
        post["operationId"] = json!(format!("postThings{number}"));
        post["requestBody"] = json!({ "content": body });
        paths.insert(path(number), json!({ "get": get, "post": post }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "HOST", "version": "1.0.0" },
        "servers": [{ "url": "https://HOST/v1" }],
        "paths": paths,
    })
    .to_string()
}
