//! Fills an inventory as large as asked for and says what it costs: revisions accepted in a second, and the CPU time of each list.
//!
//! `cargo run --release -p silhouette-catalog --example load -- [APIS [OPERATIONS [REVISIONS [DATABASE-URL]]]]`; by default 10,000
//! APIs of 100 operations with 5 revisions each, on SQLite in a directory that is removed in the end.

use std::future::Future;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Map, json};
use silhouette_catalog::access::{Door, door, first, organisations};
use silhouette_catalog::hash::sha256;
use silhouette_catalog::ids::{ApiId, CollectorId, SourceId};
use silhouette_catalog::inventory::{self, *};
use silhouette_catalog::store::{Direction, Page, Store};
use silhouette_catalog::{Millis, access::Actor};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| -> Result<u64, Failure> {
        arguments
            .next()
            .map_or(Ok(default), |text| Ok(text.parse()?))
    };
    let (apis, operations, revisions) = (number(10_000)?, number(100)?, number(5)?);
    let dir = tempfile::tempdir()?;
    let file = format!("sqlite:{}", dir.path().join("catalog.db").display());
    let url = arguments.next().unwrap_or(file);
    let store = Store::open(&url, 8).await?;
    let now = Millis::now();
    let door = Door::new(door::Lifetimes::default())?;
    first::with_owner(
        &store,
        door.passwords(),
        "Load",
        "owner@load.example",
        Some("tram orchid gravel nine"),
        now,
    )
    .await?;
    let organisation = organisations::all(&store).await?.remove(0).id;
    let actor = Actor::command_line(organisation);
    let source = SourceId::make(now);
    sqlx::query(
        "INSERT INTO sources (id, organisation_id, name, kind, settings, exclude_empty, auto_sync, created_at, created_by, \
         updated_at) VALUES ($1, $2, 'edge', 'traffic-analyzer', '{}', 1, 1, $3, 'load', $3)",
    )
    .bind(source.as_str())
    .bind(actor.organisation.as_str())
    .bind(now.0)
    .execute(store.pool())
    .await?;
    fill(&store, &actor, &source, (apis, operations, revisions), now).await?;
    lists(&store, &actor).await
}

/// Four collectors push at once, each its own hosts in order.
async fn fill(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    (apis, operations, revisions): (u64, u64, u64),
    now: Millis,
) -> Result<(), Failure> {
    const COLLECTORS: u64 = 4;
    // What making the documents costs is not the catalog's.
    const MADE: u64 = 200;
    let cpu = cpu_millis();
    for api in 0..MADE {
        let text = document(&format!("api-{api}.example.com"), operations, 1);
        std::hint::black_box(sha256(text.as_bytes()));
    }
    let making = (cpu_millis() - cpu) / MADE as f64;
    let (began, cpu) = (Instant::now(), cpu_millis());
    let mut tasks = Vec::new();
    for collector in 0..COLLECTORS {
        let (store, actor, source) = (store.clone(), actor.clone(), source.clone());
        let id = CollectorId::make(now);
        tasks.push(tokio::spawn(async move {
            for revision in 1..=revisions {
                for api in (0..apis).filter(|api| api % COLLECTORS == collector) {
                    let host = format!("api-{api}.example.com");
                    let text = document(&host, operations, revision);
                    let pushed = AcceptRevision {
                        organisation: actor.organisation.clone(),
                        source: source.clone(),
                        collector: id.clone(),
                        host,
                        sequence: revision,
                        contract: sha256(text.as_bytes()),
                        emitted: Some(now),
                        text: Bytes::from(text),
                        limit: DEFAULT_MAX_BYTES,
                    };
                    accept_revision(&store, pushed, Millis::now()).await?;
                }
            }
            Ok::<_, silhouette_catalog::Refusal>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_millis() - cpu);
    let all = (apis * revisions) as f64;
    println!(
        "{all} revisions of {operations} operations in {seconds:.1} s: {:.0} in a second, {:.2} ms of CPU each; {} MiB of memory",
        all / seconds,
        cpu / all - making,
        peak_mebibytes(),
    );
    Ok(())
}

/// What a collector emits: each revision has one more property in one operation, and all calls have grown.
fn document(host: &str, operations: u64, revision: u64) -> String {
    let mut paths = Map::new();
    for number in 0..operations.div_ceil(2) {
        let path = if number % 3 == 0 {
            format!("/v1/things-{number}")
        } else {
            format!("/v1/things-{number}/{{id}}/parts")
        };
        let mut properties = json!({ "id": { "type": "integer" }, "name": { "type": "string" }, "at": { "type": "string", "format": "date-time" } });
        if number == 0 {
            properties[format!("added{revision}")] = json!({ "type": "boolean" });
        }
        let parameters = if number % 3 == 0 {
            json!([])
        } else {
            json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } }])
        };
        let operation = |method: &str| {
            json!({
                "operationId": format!("{method}Things{number}"),
                "parameters": parameters,
                "responses": { "200": { "description": "OK", "content": { "application/json": { "schema": {
                    "type": "object", "required": ["id"], "properties": properties } } } } },
                "x-silhouette": { "calls": 100 * revision + number, "firstSeen": "2026-01-01T00:00:00Z", "lastSeen": "2026-02-01T00:00:00Z" },
            })
        };
        paths.insert(
            path,
            json!({ "get": operation("get"), "post": operation("post") }),
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": host, "version": "1" },
        "servers": [{ "url": format!("https://{host}") }],
        "paths": paths,
    })
    .to_string()
}

async fn lists(store: &Store, actor: &Actor) -> Result<(), Failure> {
    let size = Page::new(1, 50)?;
    let every = ApiFilter::default();
    let sorts = [
        ApiSort::Name,
        ApiSort::Operations,
        ApiSort::Updated,
        ApiSort::FirstDiscovered,
        ApiSort::Target,
        ApiSort::Vulnerabilities,
        ApiSort::LastScanned,
        ApiSort::Drift,
    ];
    for sort in sorts {
        time(&format!("all APIs by {sort:?}"), async || {
            inventory::apis(store, actor, &every, sort, Direction::Descending, size).await
        })
        .await?;
    }
    let page = inventory::apis(
        store,
        actor,
        &every,
        ApiSort::Name,
        Direction::Ascending,
        Page::new(1, 200)?,
    )
    .await?;
    let api: ApiId = page.items.first().ok_or("no API")?.id.clone();
    let source = page
        .items
        .first()
        .and_then(|api| api.sources.first()?.source.clone());
    let last = Page::new(u32::try_from(page.total.div_ceil(200))?, 200)?;
    let filters = [
        (
            "discovery",
            ApiFilter {
                linked: Some(false),
                hidden: Some(false),
                ..every.clone()
            },
        ),
        (
            "with a text",
            ApiFilter {
                text: Some("api-99".into()),
                ..every.clone()
            },
        ),
        (
            "of a source",
            ApiFilter {
                source,
                observed: Some(true),
                ..every.clone()
            },
        ),
        (
            "with drift",
            ApiFilter {
                drift: Some(DriftFilter::Any),
                ..every.clone()
            },
        ),
        (
            "of a host",
            ApiFilter {
                host: Some("api-7.example.com".into()),
                ..every.clone()
            },
        ),
    ];
    for (what, filter) in &filters {
        time(&format!("APIs {what}"), async || {
            inventory::apis(
                store,
                actor,
                filter,
                ApiSort::Updated,
                Direction::Descending,
                size,
            )
            .await
        })
        .await?;
    }
    time("the last page of 200 APIs", async || {
        inventory::apis(
            store,
            actor,
            &every,
            ApiSort::Updated,
            Direction::Descending,
            last,
        )
        .await
    })
    .await?;
    time("an API", async || inventory::api(store, actor, &api).await).await?;
    let all = OperationFilter::default();
    for sort in [
        OperationSort::Path,
        OperationSort::Calls,
        OperationSort::Vulnerabilities,
    ] {
        time(&format!("its operations by {sort:?}"), async || {
            inventory::operations(store, actor, &api, &all, sort, Direction::Descending, size).await
        })
        .await?;
    }
    let of = RevisionsOf::Api(api.clone());
    time("its revisions", async || {
        inventory::revisions(store, actor, &of, size).await
    })
    .await?;
    let list = inventory::revisions(store, actor, &of, size).await?.items;
    if let (Some(new), Some(old)) = (list.first(), list.last()) {
        time("what changed between two", async || {
            inventory::compare_revisions(store, actor, &old.id, &new.id).await
        })
        .await?;
    }
    time("its definitions", async || {
        inventory::definitions(store, actor, &api).await
    })
    .await?;
    time("its drift", async || {
        inventory::drift(store, actor, &api, None, None, size).await
    })
    .await?;
    time("the overview", async || {
        inventory::overview(store, actor).await
    })
    .await?;
    time("what was found over time", async || {
        inventory::found(store, actor, Span::Week, 52, Millis::now()).await
    })
    .await?;
    time("the hosts", async || inventory::hosts(store, actor).await).await?;
    println!("{} MiB of memory at the most", peak_mebibytes());
    Ok(())
}

/// Prints the CPU time of something, on average over 20 times.
async fn time<T, F: Future<Output = Result<T, silhouette_catalog::Refusal>>>(
    what: &str,
    work: impl Fn() -> F,
) -> Result<(), Failure> {
    const TIMES: u32 = 20;
    work().await?;
    let (began, cpu) = (Instant::now(), cpu_millis());
    for _ in 0..TIMES {
        work().await?;
    }
    let times = f64::from(TIMES);
    println!(
        "{what:40} {:7.1} ms CPU {:7.1} ms",
        (cpu_millis() - cpu) / times,
        began.elapsed().as_secs_f64() * 1000.0 / times
    );
    Ok(())
}

/// CPU time of this process so far, in steps of 10 ms (`/proc/self/stat`, fields 14 and 15).
fn cpu_millis() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let fields: Vec<f64> = after
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // The state is a letter and drops out; the first number is field 4.
    fields.get(10).unwrap_or(&0.0) * 10.0 + fields.get(11).unwrap_or(&0.0) * 10.0
}

/// The most memory this process had.
fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) / 1024
}
