//! Discovery and the catalog, and what can be done to APIs there: linked, unlinked, hidden, shown.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use http::StatusCode;

use super::super::answer::{
    Answer, done, failed, is_correctable, no_such, own_path, page, page_with, refused, sentence,
    status_of,
};
use super::super::person::Person;
use super::super::posted::{Fields, Posted};
use super::super::query::Query;
use super::super::views::apis::{
    ApiRow, Catalog, CreateTargets, Discovery, EndpointRow, Endpoints, Link, Named, Proposal,
};
use super::super::views::filter_form::{FilterForm, Select, Switch};
use super::super::views::{Choice, Empty, Method, PathText, Severities, When, count};
use super::form::{headings, pager};
use crate::access::Permission;
use crate::ids::{ApiId, SourceId, TargetId};
use crate::inventory::{
    self, Api, ApiFilter, ApiSort, DriftClass, DriftFilter, OperationFilter, OperationSort,
    SeverityCounts, TargetSort,
};
use crate::scans::Severity;
use crate::store::{Direction, Page};
use crate::{Millis, Refusal};

/// Endpoints that a row of the catalog shows; the API's own page has all.
const ENDPOINTS: u32 = 100;

pub(super) fn severities(counts: &SeverityCounts) -> Severities {
    Severities {
        critical: counts.critical,
        high: counts.high,
        medium: counts.medium,
        low: counts.low,
        informational: counts.informational,
    }
}

/// An API as a row.
pub(super) fn row(api: Api, now: Millis) -> ApiRow {
    let mut sources: Vec<String> = api.sources.into_iter().map(|source| source.name).collect();
    sources.dedup();
    ApiRow {
        id: api.id.to_string(),
        name: api.name,
        base_url: api.base_url.to_string(),
        hidden: api.hidden_at.is_some(),
        operations: api.operations,
        shadow: api.drift.shadow,
        zombie: api.drift.zombie,
        orphan: api.drift.orphan,
        sources,
        updated: When::new(api.updated_at, now),
        discovered: When::new(api.first_discovered_at, now),
        target: api
            .target
            .map(|target| (target.id.to_string(), target.name, target.url.to_string())),
        severities: severities(&api.findings),
        scanned: api.scanned_at.map(|at| When::new(at, now)),
    }
}

/// Tone and word of a kind of drift.
pub(super) fn drift_badge(class: DriftClass) -> (&'static str, &'static str) {
    match class {
        DriftClass::Shadow => ("violet", "shadow"),
        DriftClass::Zombie => ("bad", "zombie"),
        DriftClass::Orphan => ("", "orphan"),
        DriftClass::Contradiction => ("warn", "contradiction"),
        DriftClass::Undocumented => ("info", "undocumented detail"),
    }
}

const NAMES: &[&str] = &[
    "q", "source", "target", "seen", "drift", "severity", "host", "hidden", "sort",
];

fn filter_of(query: &Query, linked: bool) -> ApiFilter {
    let drift = match query.get("drift") {
        "any" => Some(DriftFilter::Any),
        "none" => Some(DriftFilter::None),
        "shadow" => Some(DriftFilter::Shadow),
        "zombie" => Some(DriftFilter::Zombie),
        "orphan" => Some(DriftFilter::Orphan),
        "contradiction" => Some(DriftFilter::Contradiction),
        _ => None,
    };
    let (observed, documented) = match query.get("seen") {
        "seen" => (Some(true), None),
        "documented" => (None, Some(true)),
        "both" => (Some(true), Some(true)),
        _ => (None, None),
    };
    ApiFilter {
        text: query.some("q"),
        source: SourceId::parse(query.get("source")).ok(),
        target: TargetId::parse(query.get("target")).ok(),
        linked: Some(linked),
        hidden: (query.get("hidden") != "yes").then_some(false),
        observed,
        documented,
        drift,
        severity: match query.get("severity") {
            "any" => Some(Severity::Informational),
            name => Severity::parse(name),
        },
        host: query.some("host"),
        ..ApiFilter::default()
    }
}

const SORTS: &[(&str, ApiSort)] = &[
    ("name", ApiSort::Name),
    ("operations", ApiSort::Operations),
    ("updated", ApiSort::Updated),
    ("discovered", ApiSort::FirstDiscovered),
    ("target", ApiSort::Target),
    ("vulnerabilities", ApiSort::Vulnerabilities),
    ("scanned", ApiSort::LastScanned),
    ("drift", ApiSort::Drift),
];

fn sort_of(query: &Query, known: &[&'static str]) -> ((&'static str, Direction), ApiSort) {
    let sorted = query.sort(known);
    let sort = SORTS
        .iter()
        .find(|(name, _)| *name == sorted.0)
        .map_or(ApiSort::Updated, |(_, sort)| *sort);
    (sorted, sort)
}

async fn filters(person: &Person, query: &Query, action: &str) -> Result<FilterForm, Response> {
    let store = &person.app().store;
    let chosen = |name: &str| query.get(name).to_owned();
    let options = |name: &str, given: &[(&str, &str)]| -> Vec<Choice> {
        given
            .iter()
            .map(|(value, label)| Choice::new(*value, *label, query.get(name)))
            .collect()
    };
    let mut selects = Vec::new();
    let sources = super::sources::names(person).await?;
    if !sources.is_empty() {
        let mut choices = options("source", &[("", "Any source")]);
        choices.extend(
            sources
                .into_iter()
                .map(|(id, name)| Choice::new(id, name, query.get("source"))),
        );
        selects.push(Select {
            name: "source",
            label: "Source",
            choices,
        });
    }
    if action == "/catalog" {
        let targets = inventory::targets(
            store,
            &person.actor,
            None,
            TargetSort::Name,
            Direction::Ascending,
            Page::new(1, Page::MAX_SIZE).map_err(refused)?,
        )
        .await
        .map_err(refused)?;
        let mut choices = options("target", &[("", "Any target")]);
        choices.extend(
            targets
                .items
                .into_iter()
                .map(|target| Choice::new(target.id.as_str(), target.name, query.get("target"))),
        );
        selects.push(Select {
            name: "target",
            label: "Target",
            choices,
        });
        selects.push(Select {
            name: "severity",
            label: "Vulnerabilities",
            choices: options(
                "severity",
                &[
                    ("", "Any severity"),
                    ("any", "With findings"),
                    ("low", "Low and up"),
                    ("medium", "Medium and up"),
                    ("high", "High and up"),
                    ("critical", "Critical"),
                ],
            ),
        });
    }
    selects.push(Select {
        name: "seen",
        label: "Known from",
        choices: options(
            "seen",
            &[
                ("", "Seen or documented"),
                ("seen", "Seen in traffic"),
                ("documented", "Documented"),
                ("both", "Both"),
            ],
        ),
    });
    selects.push(Select {
        name: "drift",
        label: "Drift",
        choices: options(
            "drift",
            &[
                ("", "Any drift or none"),
                ("any", "With drift"),
                ("none", "Without drift"),
                ("shadow", "Shadow"),
                ("zombie", "Zombie"),
                ("orphan", "Orphan"),
                ("contradiction", "Contradiction"),
            ],
        ),
    });
    let mut kept: Vec<(&'static str, String)> = Vec::new();
    kept.extend(query.some("sort").map(|sort| ("sort", sort)));
    kept.extend(query.some("host").map(|host| ("host", host)));
    Ok(FilterForm {
        action: action.to_owned(),
        search_label: "Search name or URL",
        text: chosen("q"),
        selects,
        switches: vec![Switch {
            name: "hidden",
            value: "yes",
            label: "Show hidden APIs",
            chosen: query.get("hidden") == "yes",
        }],
        kept,
        any: query.filtered(),
        ..FilterForm::default()
    })
}

/// APIs without a target.
pub(super) async fn discovery(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read("/discovery", raw.as_deref(), NAMES);
    let (sorted, sort) = sort_of(
        &query,
        &["-updated", "name", "operations", "discovered", "drift"],
    );
    let found = inventory::apis(
        &person.app().store,
        &person.actor,
        &filter_of(&query, false),
        sort,
        sorted.1,
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let empty = if query.filtered() {
        Empty {
            icon: "search",
            title: "No API fits these filters",
            text: "Fewer filters show more.",
            actions: vec![("/discovery", "Show all")],
        }
    } else {
        Empty {
            icon: "discovery",
            title: "Nothing waits here",
            text: "APIs appear here as soon as a source finds them: a collector that sees their traffic, or a document that is \
                   imported. Those with a target are in the catalog.",
            actions: if person.may(Permission::ManageSources) {
                vec![
                    ("/sources/new", "Add a source"),
                    ("/catalog", "To the catalog"),
                ]
            } else {
                vec![("/catalog", "To the catalog")]
            },
        }
    };
    let view = Discovery {
        filters: filters(&person, &query, "/discovery").await?,
        headings: headings(
            &query,
            sorted,
            &[
                ("API", "name", ""),
                ("Operations", "operations", "num"),
                ("Source", "", ""),
                ("Last updated", "updated", ""),
                ("First discovered", "discovered", ""),
                ("Target", "", "tight"),
            ],
        ),
        pager: pager(&query, &found),
        apis: found
            .items
            .into_iter()
            .map(|api| row(api, person.now))
            .collect(),
        manage: person.may(Permission::ManageApis),
        hidden_shown: query.get("hidden") == "yes",
        empty,
        shell: person.shell("/discovery").await?,
    };
    Ok(page(&view))
}

/// APIs with a target.
pub(super) async fn catalog(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read("/catalog", raw.as_deref(), NAMES);
    let (sorted, sort) = sort_of(
        &query,
        &["name", "target", "vulnerabilities", "scanned", "drift"],
    );
    let found = inventory::apis(
        &person.app().store,
        &person.actor,
        &filter_of(&query, true),
        sort,
        sorted.1,
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let empty = if query.filtered() {
        Empty {
            icon: "search",
            title: "No API fits these filters",
            text: "Fewer filters show more.",
            actions: vec![("/catalog", "Show all")],
        }
    } else {
        Empty {
            icon: "catalog",
            title: "The catalog is empty",
            text: "An API comes here when it is linked to a target. Discovery lists those that wait for one.",
            actions: vec![("/discovery", "To discovery")],
        }
    };
    let view = Catalog {
        filters: filters(&person, &query, "/catalog").await?,
        headings: headings(
            &query,
            sorted,
            &[
                ("API", "name", ""),
                ("Source", "", ""),
                ("Target", "target", ""),
                ("Vulnerabilities", "vulnerabilities", ""),
                ("Last scanned", "scanned", ""),
            ],
        ),
        pager: pager(&query, &found),
        apis: found
            .items
            .into_iter()
            .map(|api| row(api, person.now))
            .collect(),
        manage: person.may(Permission::ManageApis),
        empty,
        shell: person.shell("/catalog").await?,
    };
    Ok(page(&view))
}

/// The endpoints of one API, as a row below it.
pub(super) async fn endpoints(Path(id): Path<String>, person: Person) -> Answer {
    let api = parse(&id)?;
    let store = &person.app().store;
    let name = inventory::api(store, &person.actor, &api)
        .await
        .map_err(refused)?
        .name;
    let found = inventory::operations(
        store,
        &person.actor,
        &api,
        &OperationFilter::default(),
        OperationSort::Path,
        Direction::Ascending,
        Page::new(1, ENDPOINTS).map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let view = Endpoints {
        id,
        name,
        columns: if person.may(Permission::ManageApis) {
            6
        } else {
            5
        },
        total: found.total,
        rows: found
            .items
            .into_iter()
            .map(|operation| EndpointRow {
                method: Method::new(&operation.method),
                path: PathText::new(&operation.path),
                drift: operation.drift.map(drift_badge).into_iter().collect(),
                deprecated: operation.deprecated,
                calls: operation.calls,
                severities: severities(&operation.findings),
            })
            .collect(),
    };
    Ok(page(&view))
}

pub(super) fn parse(id: &str) -> Result<ApiId, Response> {
    ApiId::parse(id).map_err(|_| no_such("API", id))
}

/// The chosen ones, each once, and what pages show of them.
async fn chosen<'a>(
    person: &Person,
    ids: impl Iterator<Item = &'a str>,
) -> Result<(Vec<ApiId>, Vec<Named>), Response> {
    let mut apis: Vec<ApiId> = Vec::new();
    for id in ids.take(inventory::MAX_APIS + 1) {
        let id = parse(id)?;
        if !apis.contains(&id) {
            apis.push(id);
        }
    }
    let mut named = Vec::with_capacity(apis.len());
    for id in &apis {
        let api = inventory::api(&person.app().store, &person.actor, id)
            .await
            .map_err(refused)?;
        named.push(Named {
            id: id.to_string(),
            name: api.name,
            base_url: api.base_url.to_string(),
        });
    }
    Ok((apis, named))
}

fn asked(raw: Option<&str>) -> Vec<String> {
    form_urlencoded::parse(raw.unwrap_or_default().as_bytes())
        .filter(|(name, _)| name == "api")
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// Asks for the target.
pub(super) async fn link_form(person: Person, RawQuery(raw): RawQuery) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let ids = asked(raw.as_deref());
    let (apis, named) = chosen(&person, ids.iter().map(String::as_str)).await?;
    if apis.is_empty() {
        return Ok(failed(
            &person,
            "/discovery",
            "Select at least one API first.",
        ));
    }
    link_view(&person, &apis, named, "", String::new(), StatusCode::OK).await
}

async fn link_view(
    person: &Person,
    apis: &[ApiId],
    named: Vec<Named>,
    chosen: &str,
    error: String,
    status: StatusCode,
) -> Answer {
    let store = &person.app().store;
    // A target that fits the first of them comes first; the longest path fits best.
    let fitting = match apis.first() {
        Some(first) => inventory::fitting_targets(store, &person.actor, first)
            .await
            .map_err(refused)?,
        None => Vec::new(),
    };
    let suggested = fitting
        .iter()
        .max_by_key(|target| target.url.path().len())
        .map(|target| (target.id.to_string(), target.url.to_string()));
    let chosen = match (&suggested, chosen) {
        (Some((id, _)), "") => id.clone(),
        (_, given) => given.to_owned(),
    };
    let targets = inventory::targets(
        store,
        &person.actor,
        None,
        TargetSort::Name,
        Direction::Ascending,
        Page::new(1, Page::MAX_SIZE).map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let mut choices: Vec<Choice> = fitting
        .iter()
        .chain(
            targets
                .items
                .iter()
                .filter(|target| fitting.iter().all(|fits| fits.id != target.id)),
        )
        .map(|target| {
            let url = target.url.to_string();
            let label = if target.name == url {
                url
            } else {
                format!("{} – {url}", target.name)
            };
            Choice::new(target.id.as_str(), label, &chosen)
        })
        .collect();
    choices.truncate(400);
    let offer = if !error.is_empty() || suggested.is_none() {
        proposals(&named)
    } else {
        Vec::new()
    };
    let view = Link {
        shell: person.shell("/discovery").await?,
        apis: named,
        targets: choices,
        suggested: suggested.map(|(_, url)| url).unwrap_or_default(),
        error,
        offer,
    };
    Ok(page_with(status, &view))
}

/// The targets that APIs need, each once.
fn proposals(apis: &[Named]) -> Vec<Proposal> {
    let mut all: Vec<Proposal> = Vec::new();
    for api in apis {
        match all.iter_mut().find(|there| there.url == api.base_url) {
            Some(there) => there.apis += 1,
            None => all.push(Proposal {
                url: api.base_url.clone(),
                apis: 1,
            }),
        }
    }
    all
}

/// Links. A target the APIs do not lie under is refused, and the right one offered.
pub(super) async fn link(Posted { person, fields, .. }: Posted) -> Answer {
    let (apis, named) = chosen(&person, fields.all("api")).await?;
    let given = fields.get("target").to_owned();
    let target = TargetId::parse(&given).map_err(|_| no_such("target", &given))?;
    let store = &person.app().store;
    match inventory::link(store, &person.actor, &apis, &target, person.now).await {
        Ok(()) => Ok(done(
            &person,
            "/catalog",
            &format!("{} in the catalog now.", are(&named)),
        )),
        Err(refusal) if is_correctable(&refusal) => {
            let error = sentence(&super::super::answer::blamed(&refusal).1);
            link_view(&person, &apis, named, &given, error, status_of(&refusal)).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

fn are(named: &[Named]) -> String {
    match named {
        [one] => format!("“{}” is", one.name),
        several => format!("{} are", count(several.len() as u64, "API", "APIs")),
    }
}

/// Asks before targets are made.
pub(super) async fn create_form(person: Person, RawQuery(raw): RawQuery) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let ids = asked(raw.as_deref());
    let (_, named) = chosen(&person, ids.iter().map(String::as_str)).await?;
    if named.is_empty() {
        return Ok(failed(
            &person,
            "/discovery",
            "Select at least one API first.",
        ));
    }
    let view = CreateTargets {
        shell: person.shell("/discovery").await?,
        proposals: proposals(&named),
        apis: named,
        error: String::new(),
    };
    Ok(page(&view))
}

/// Makes the target of each and links.
pub(super) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let (apis, named) = chosen(&person, fields.all("api")).await?;
    let store = &person.app().store;
    match inventory::create_targets(store, &person.actor, &apis, person.now).await {
        Ok(_) => Ok(done(
            &person,
            "/catalog",
            &format!(
                "{} in the catalog now, with targets of their own.",
                are(&named)
            ),
        )),
        Err(refusal) if is_correctable(&refusal) => {
            let view = CreateTargets {
                shell: person.shell("/discovery").await?,
                proposals: proposals(&named),
                apis: named,
                error: sentence(&super::super::answer::blamed(&refusal).1),
            };
            Ok(page_with(status_of(&refusal), &view))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

async fn set_hidden(person: &Person, fields: &Fields, hidden: bool) -> Answer {
    let (apis, named) = chosen(person, fields.all("api")).await?;
    let store = &person.app().store;
    match inventory::set_hidden(store, &person.actor, &apis, hidden, person.now).await {
        Ok(()) => {
            let text = if hidden {
                format!("{} hidden. “Show hidden APIs” shows what is.", are(&named))
            } else {
                format!("{} shown again.", are(&named))
            };
            Ok(done(person, "/discovery", &text))
        }
        Err(refusal) if is_correctable(&refusal) => Ok(failed(
            person,
            "/discovery",
            &sentence(&refusal.to_string()),
        )),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Hides the chosen ones.
pub(super) async fn hide(Posted { person, fields, .. }: Posted) -> Answer {
    set_hidden(&person, &fields, true).await
}

/// Shows the chosen ones again.
pub(super) async fn show(Posted { person, fields, .. }: Posted) -> Answer {
    set_hidden(&person, &fields, false).await
}

/// Takes one back to discovery.
pub(super) async fn unlink(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let api = parse(&id)?;
    let back = own_path(fields.get("back"), &format!("/apis/{api}"));
    told(
        &person,
        &back,
        inventory::unlink(&person.app().store, &person.actor, &[api], person.now).await,
        "The API is back in discovery.",
    )
}

/// Hides one, or shows it again.
pub(super) async fn hide_one(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    one_hidden(&person, &id, true).await
}

/// See [`hide_one`].
pub(super) async fn show_one(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    one_hidden(&person, &id, false).await
}

async fn one_hidden(person: &Person, id: &str, hidden: bool) -> Answer {
    let api = parse(id)?;
    let back = format!("/apis/{api}");
    let store = &person.app().store;
    let outcome = inventory::set_hidden(store, &person.actor, &[api], hidden, person.now).await;
    let text = if hidden {
        "The API is hidden: lists show it only when asked for."
    } else {
        "The API is shown again."
    };
    told(person, &back, outcome, text)
}

/// On to `to`, with what was done or why not.
pub(super) fn told(person: &Person, to: &str, outcome: Result<(), Refusal>, text: &str) -> Answer {
    match outcome {
        Ok(()) => Ok(done(person, to, text)),
        Err(refusal) if is_correctable(&refusal) => {
            Ok(failed(person, to, &sentence(&refusal.to_string())))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}
