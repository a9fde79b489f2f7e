//! Sources: the list, one of them, its tokens and collectors, and documents that are imported into it.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::super::answer::{
    Answer, done, failed, is_correctable, no_such, own_path, page, page_with, refused, sentence,
    status_of,
};
use super::super::person::Person;
use super::super::posted::Posted;
use super::super::query::Query;
use super::super::views::filter_form::{FilterForm, Select};
use super::super::views::overview::Health;
use super::super::views::sources::{
    AutoSync, CollectorRow, DeleteSource, EditSource, ImportForm, KindCard, NewSource, NewToken,
    SourcePage, SourceRow, Sources, TokenRow,
};
use super::super::views::{Choice, Empty, Field, Status as Pill, When, count, span};
use super::apis::told;
use super::form::{blame, bytes, headings, pager};
use crate::Millis;
use crate::access::Permission;
use crate::ids::{CollectorId, SourceId, TokenId};
use crate::imports::{self, Outcome, Upload};
use crate::inventory::{BaseUrl, Join};
use crate::sources::{self, Edit, Filter, Kind, New, Order, Source, Status};
use crate::store::{Direction, Page};

const HERE: &str = "/sources";

/// Clocks that drift by less are not worth a word.
const SKEW: i64 = 30_000;

fn tone(status: Status) -> &'static str {
    match status {
        Status::SyncCompleted => "good",
        Status::SyncInProgress => "busy",
        Status::SyncFailed | Status::TokenExpired => "bad",
        Status::Offline => "warn",
        Status::AwaitingSetup | Status::AwaitingSync => "info",
    }
}

fn row(source: Source, now: Millis) -> SourceRow {
    let report = source.report;
    let mut reason = report.reason;
    if let Some(at) = report.at {
        reason.push_str(" (");
        reason.push_str(&at.rfc3339().replace('T', " ").replace('Z', " UTC"));
        reason.push(')');
    }
    SourceRow {
        status: Pill {
            id: source.id.to_string(),
            label: report.status.title().to_owned(),
            tone: tone(report.status),
            reason: reason.clone(),
        },
        reason_shown: reason,
        kind: source.kind.title(),
        synced: source.last_sync_at.map(|at| When::new(at, now)),
        created: When::new(source.created_at, now),
        apis: source.definitions,
        auto_sync: source.auto_sync,
        exclude_empty: source.exclude_empty,
        can_sync: source.kind != Kind::Upload,
        analyzer: source.kind == Kind::TrafficAnalyzer,
        uploads: source.kind == Kind::Upload,
        url: source
            .settings
            .get("url")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        id: source.id.to_string(),
        name: source.name,
    }
}

fn clock(person: &Person) -> (std::time::Duration, Millis) {
    (person.app().config.offline_after, person.now)
}

async fn some(person: &Person, filter: &Filter, order: Order) -> Result<Vec<Source>, Response> {
    let page = Page::new(1, Page::MAX_SIZE).map_err(refused)?;
    let order = (order, Direction::Ascending);
    let store = &person.app().store;
    let found = sources::list(store, &person.actor, filter, order, page, clock(person))
        .await
        .map_err(refused)?;
    Ok(found.items)
}

/// Ids and names, for filters to choose from; none for those who may not look at sources.
pub(super) async fn names(person: &Person) -> Result<Vec<(String, String)>, Response> {
    if !person.may(Permission::ViewSources) {
        return Ok(Vec::new());
    }
    let all = some(person, &Filter::default(), Order::Name).await?;
    Ok(all
        .into_iter()
        .map(|source| (source.id.to_string(), source.name))
        .collect())
}

/// How sources are, those that need somebody first; and in a word how many do.
pub(super) async fn health(person: &Person) -> Result<(Vec<Health>, String), Response> {
    if !person.may(Permission::ViewSources) {
        return Ok((Vec::new(), String::new()));
    }
    let all = some(person, &Filter::default(), Order::Status).await?;
    let wrong = all
        .iter()
        .filter(|source| {
            matches!(
                source.report.status,
                Status::SyncFailed | Status::Offline | Status::TokenExpired
            )
        })
        .count();
    let word = match (all.len(), wrong) {
        (0, _) => "none yet".to_owned(),
        (_, 0) => "all well".to_owned(),
        (_, wrong) => count(wrong as u64, "needs a look", "need a look"),
    };
    let shown = all
        .into_iter()
        .take(8)
        .map(|source| {
            let row = row(source, person.now);
            Health {
                id: row.id,
                name: row.name,
                kind: row.kind,
                status: row.status,
            }
        })
        .collect();
    Ok((shown, word))
}

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(HERE, raw.as_deref(), &["q", "kind", "status", "sort"]);
    let sorted = query.sort(&["name", "kind", "status", "-synced"]);
    let order = match sorted.0 {
        "kind" => Order::Kind,
        "status" => Order::Status,
        "synced" => Order::LastSync,
        _ => Order::Name,
    };
    let filter = Filter {
        text: query.some("q"),
        kind: Kind::parse(query.get("kind")),
        status: Status::parse(query.get("status")),
        auto_sync: None,
    };
    let found = sources::list(
        &person.app().store,
        &person.actor,
        &filter,
        (order, sorted.1),
        query.page().map_err(refused)?,
        clock(&person),
    )
    .await
    .map_err(refused)?;
    let manage = person.may(Permission::ManageSources);
    let mut kinds = vec![Choice::new("", "Any type", query.get("kind"))];
    kinds.extend(
        Kind::ALL
            .iter()
            .map(|kind| Choice::new(kind.name(), kind.title(), query.get("kind"))),
    );
    let mut statuses = vec![Choice::new("", "Any status", query.get("status"))];
    statuses.extend(
        Status::ALL
            .iter()
            .map(|status| Choice::new(status.name(), status.title(), query.get("status"))),
    );
    let empty = if query.filtered() {
        Empty {
            icon: "search",
            title: "No source fits these filters",
            text: "Fewer filters show more.",
            actions: vec![(HERE, "Show all")],
        }
    } else {
        Empty {
            icon: "sources",
            title: "No source yet",
            text: "A source brings APIs: a collector that watches traffic, documents that are uploaded, or one that is fetched from a \
                   URL.",
            actions: if manage {
                vec![("/sources/new", "Add source")]
            } else {
                Vec::new()
            },
        }
    };
    let view = Sources {
        filters: FilterForm {
            action: HERE.to_owned(),
            search_label: "Search names",
            text: query.get("q").to_owned(),
            selects: vec![
                Select {
                    name: "kind",
                    label: "Type",
                    choices: kinds,
                },
                Select {
                    name: "status",
                    label: "Status",
                    choices: statuses,
                },
            ],
            kept: query
                .some("sort")
                .map(|sort| ("sort", sort))
                .into_iter()
                .collect(),
            any: query.filtered(),
            ..FilterForm::default()
        },
        headings: headings(
            &query,
            sorted,
            &[
                ("Name", "name", ""),
                ("Type", "kind", ""),
                ("Status", "status", ""),
                ("Last sync", "synced", ""),
                ("APIs", "", "num"),
                ("Auto-sync", "", ""),
            ],
        ),
        pager: pager(&query, &found),
        sources: found
            .items
            .into_iter()
            .map(|source| row(source, person.now))
            .collect(),
        manage,
        empty,
        shell: person.shell(HERE).await?,
    };
    Ok(page(&view))
}

fn parse(id: &str) -> Result<SourceId, Response> {
    SourceId::parse(id).map_err(|_| no_such("source", id))
}

async fn one(person: &Person, id: &SourceId) -> Result<Source, Response> {
    sources::get(&person.app().store, &person.actor, id, clock(person))
        .await
        .map_err(refused)
}

/// Asks what to add.
pub(super) async fn new_form(person: Person) -> Answer {
    person
        .actor
        .may(Permission::ManageSources)
        .map_err(refused)?;
    new_view(
        &person,
        Kind::TrafficAnalyzer,
        (Field::default(), Field::default()),
        true,
        String::new(),
        StatusCode::OK,
    )
    .await
}

async fn new_view(
    person: &Person,
    chosen: Kind,
    (name, url): (Field, Field),
    exclude_empty: bool,
    error: String,
    status: StatusCode,
) -> Answer {
    let card = |kind: Kind, icon, text| KindCard {
        value: kind.name(),
        icon,
        title: kind.title(),
        text,
        chosen: kind == chosen,
    };
    let view = NewSource {
        shell: person.shell(HERE).await?,
        kinds: vec![
            card(
                Kind::TrafficAnalyzer,
                "traffic",
                "A collector reconstructs APIs from the traffic of NGINX, Kong, Envoy, Istio, Cloudflare or F5.",
            ),
            card(
                Kind::Upload,
                "upload",
                "OpenAPI 3 or Swagger 2 documents, as files or pasted.",
            ),
            card(
                Kind::Url,
                "globe",
                "A document that is fetched from a URL, again with each sync.",
            ),
        ],
        name,
        url,
        show_url: true,
        exclude_empty,
        error,
    };
    Ok(page_with(status, &view))
}

/// Adds one. A traffic analyzer's page shows its first token.
pub(super) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let kind = Kind::parse(fields.get("kind")).unwrap_or(Kind::TrafficAnalyzer);
    let mut name = Field::new(fields.get("name"));
    let mut url = Field::new(fields.get("url"));
    let exclude_empty = fields.has("exclude_empty");
    let settings = if kind == Kind::Url {
        json!({ "url": url.value.trim() })
    } else {
        json!({})
    };
    let new = New {
        name: &name.value,
        kind,
        settings,
        exclude_empty,
        auto_sync: true,
    };
    let store = &person.app().store;
    let id = match sources::create(store, &person.actor, new, person.now).await {
        Ok(id) => id,
        Err(refusal) if is_correctable(&refusal) => {
            let error = blame(
                &refusal,
                &mut [
                    (&["name"], &mut name),
                    (&["url", "settings.url", "settings"], &mut url),
                ],
            );
            let status = status_of(&refusal);
            return new_view(&person, kind, (name, url), exclude_empty, error, status).await;
        }
        Err(refusal) => return Err(refused(refusal)),
    };
    match kind {
        Kind::TrafficAnalyzer => token_page(&person, &id).await,
        Kind::Upload => Ok(done(
            &person,
            &format!("{HERE}/{id}"),
            "The source is there; add its first document below.",
        )),
        Kind::Url => {
            let asked = sources::sync(store, &person.actor, &id, person.now).await;
            told(
                &person,
                &format!("{HERE}/{id}"),
                asked.map(|_| ()),
                "The source is there, and its document is being fetched.",
            )
        }
    }
}

/// One source.
pub(super) async fn show(Path(id): Path<String>, person: Person) -> Answer {
    let source = one(&person, &parse(&id)?).await?;
    view(&person, source, None, ImportForm::default(), StatusCode::OK).await
}

async fn view(
    person: &Person,
    source: Source,
    token: Option<NewToken>,
    mut import: ImportForm,
    status: StatusCode,
) -> Answer {
    let store = &person.app().store;
    let config = &person.app().config;
    let when = |at| When::new(at, person.now);
    let analyzer = source.kind == Kind::TrafficAnalyzer;
    let manage = person.may(Permission::ManageSources);
    let mut collectors = Vec::new();
    let mut tokens = Vec::new();
    if analyzer {
        let all = sources::collectors(
            store,
            &person.actor,
            &source.id,
            config.offline_after,
            person.now,
        );
        collectors = all.await.map_err(refused)?;
        tokens = sources::tokens(store, &person.actor, &source.id)
            .await
            .map_err(refused)?;
    }
    let live = matches!(
        source.report.status,
        Status::AwaitingSetup | Status::AwaitingSync | Status::SyncInProgress
    );
    import.limit = bytes(person.web.document_bytes());
    let view = SourcePage {
        shell: person.shell(HERE).await?,
        source: row(source, person.now),
        token,
        live,
        collectors: collectors
            .into_iter()
            .map(|collector| CollectorRow {
                id: collector.id.to_string(),
                name: collector.name,
                version: collector.version,
                address: collector.address,
                revoked: collector.revoked_at.is_some(),
                heartbeat: collector.heartbeat_at.map(when),
                skew: collector
                    .skew_millis
                    .filter(|skew| skew.abs() >= SKEW)
                    .map_or_else(String::new, |skew| {
                        let way = if skew > 0 { "ahead" } else { "behind" };
                        format!("its clock is {} {way}", span(skew.abs() / 1000))
                    }),
                hosts: collector.hosts.known,
                waiting: collector.hosts.waiting,
                pending: collector.outbox.pending,
                oldest: collector
                    .outbox
                    .oldest_seconds
                    .map_or_else(String::new, |seconds| {
                        format!(
                            "the oldest for {}",
                            span(i64::try_from(seconds).unwrap_or(i64::MAX))
                        )
                    }),
                error: collector.last_error.unwrap_or_default(),
            })
            .collect(),
        tokens: tokens
            .into_iter()
            .map(|token| {
                let expired = token.expires_at <= person.now;
                let (state, until) = match token.used_at {
                    Some(at) => ("Used", at),
                    None if expired => ("Expired", token.expires_at),
                    None => ("Expires", token.expires_at),
                };
                TokenRow {
                    id: token.id.to_string(),
                    created: when(token.created_at),
                    by: token.created_by,
                    state: state.to_owned(),
                    until: Some(when(until)),
                    revocable: token.used_at.is_none() && !expired,
                }
            })
            .collect(),
        import,
        manage,
        may_import: manage,
    };
    Ok(page_with(status, &view))
}

/// A new token: the page that answers shows it, and the command it is for, this once.
pub(super) async fn token(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    let id = parse(&id)?;
    token_page(&person, &id).await
}

async fn token_page(person: &Person, id: &SourceId) -> Answer {
    let app = person.app();
    let lifetime = app.config.token_lifetime;
    let made = sources::make_token(&app.store, &person.actor, id, lifetime, person.now)
        .await
        .map_err(refused)?;
    let token = NewToken {
        command: format!(
            "silhouette-collector register --catalog {} --token {}",
            app.public_url, made.secret
        ),
        secret: made.secret,
        expires: When::new(made.expires_at, person.now),
    };
    let source = one(person, id).await?;
    view(
        person,
        source,
        Some(token),
        ImportForm::default(),
        StatusCode::OK,
    )
    .await
}

/// Withdraws a token.
pub(super) async fn revoke_token(
    Path((id, token)): Path<(String, String)>,
    Posted { person, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let token = TokenId::parse(&token).map_err(|_| no_such("token", &token))?;
    let store = &person.app().store;
    let outcome = sources::revoke_token(store, &person.actor, &id, &token, person.now).await;
    told(
        &person,
        &format!("{HERE}/{id}"),
        outcome,
        "The token is withdrawn.",
    )
}

/// Withdraws a collector's credential.
pub(super) async fn revoke_collector(
    Path((id, collector)): Path<(String, String)>,
    Posted { person, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let collector = CollectorId::parse(&collector).map_err(|_| no_such("collector", &collector))?;
    let app = person.app();
    let outcome = sources::revoke_collector(
        &app.store,
        &person.actor,
        &id,
        &collector,
        app.config.offline_after,
        person.now,
    )
    .await;
    told(
        &person,
        &format!("{HERE}/{id}"),
        outcome,
        "The collector’s credential is withdrawn; it has to register again.",
    )
}

/// Asks for a sync.
pub(super) async fn sync(Path(id): Path<String>, Posted { person, fields, .. }: Posted) -> Answer {
    let id = parse(&id)?;
    let back = own_path(fields.get("back"), &format!("{HERE}/{id}"));
    let asked = sources::sync(&person.app().store, &person.actor, &id, person.now).await;
    told(
        &person,
        &back,
        asked.map(|_| ()),
        "A sync is asked for; the status shows how it goes.",
    )
}

/// Whether it syncs by itself. A script gets the switch alone.
pub(super) async fn auto_sync(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let on = fields.get("on") == "true";
    let edit = Edit {
        auto_sync: Some(on),
        ..Edit::default()
    };
    sources::edit(&person.app().store, &person.actor, &id, edit, person.now)
        .await
        .map_err(refused)?;
    if !person.htmx {
        let word = if on { "on" } else { "off" };
        return Ok(done(&person, HERE, &format!("Auto-sync is {word}.")));
    }
    let source = one(&person, &id).await?;
    let view = AutoSync {
        shell: person.shell(HERE).await?,
        source: row(source, person.now),
        manage: true,
    };
    Ok(page(&view))
}

/// Asks what to change.
pub(super) async fn edit_form(Path(id): Path<String>, person: Person) -> Answer {
    person
        .actor
        .may(Permission::ManageSources)
        .map_err(refused)?;
    let source = row(one(&person, &parse(&id)?).await?, person.now);
    let (name, url) = (
        Field::new(source.name.as_str()),
        Field::new(source.url.as_str()),
    );
    edit_view(&person, source, (name, url), String::new(), StatusCode::OK).await
}

async fn edit_view(
    person: &Person,
    source: SourceRow,
    (name, url): (Field, Field),
    error: String,
    status: StatusCode,
) -> Answer {
    let of_url = source.kind == Kind::Url.title();
    let view = EditSource {
        shell: person.shell(HERE).await?,
        exclude_empty: source.exclude_empty,
        source,
        name,
        url: of_url.then_some(url),
        error,
    };
    Ok(page_with(status, &view))
}

/// Changes one.
pub(super) async fn edit(Path(id): Path<String>, Posted { person, fields, .. }: Posted) -> Answer {
    let id = parse(&id)?;
    let before = one(&person, &id).await?;
    let mut name = Field::new(fields.get("name"));
    let mut url = Field::new(fields.get("url"));
    let change = Edit {
        name: Some(&name.value),
        settings: (before.kind == Kind::Url).then(|| json!({ "url": url.value.trim() })),
        exclude_empty: Some(fields.has("exclude_empty")),
        auto_sync: (before.kind != Kind::Upload).then(|| fields.has("auto_sync")),
    };
    match sources::edit(&person.app().store, &person.actor, &id, change, person.now).await {
        Ok(()) => Ok(done(
            &person,
            &format!("{HERE}/{id}"),
            "The source is changed.",
        )),
        Err(refusal) if is_correctable(&refusal) => {
            let error = blame(
                &refusal,
                &mut [
                    (&["name"], &mut name),
                    (&["url", "settings.url", "settings"], &mut url),
                ],
            );
            let status = status_of(&refusal);
            edit_view(&person, row(before, person.now), (name, url), error, status).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Asks first.
pub(super) async fn delete_form(Path(id): Path<String>, person: Person) -> Answer {
    person
        .actor
        .may(Permission::ManageSources)
        .map_err(refused)?;
    let source = one(&person, &parse(&id)?).await?;
    let view = DeleteSource {
        shell: person.shell(HERE).await?,
        source: row(source, person.now),
    };
    Ok(page(&view))
}

/// Deletes one; what it found stays.
pub(super) async fn delete(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    let id = parse(&id)?;
    let outcome = sources::delete(&person.app().store, &person.actor, &id, person.now).await;
    told(
        &person,
        HERE,
        outcome,
        "The source is deleted; the APIs it found stay.",
    )
}

/// Takes a document, as a file or pasted.
pub(super) async fn import(
    Path(id): Path<String>,
    Posted {
        person,
        fields,
        file,
    }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let back = format!("{HERE}/{id}");
    let pasted = fields.get("text").to_owned();
    let mut form = ImportForm {
        name: Field::new(fields.get("name")),
        base_url: Field::new(fields.get("base_url")),
        ..ImportForm::default()
    };
    let named = form.name.value.trim().to_owned();
    let (text, name) = match file {
        Some((file, contents)) => (contents, if named.is_empty() { file } else { named }),
        None if pasted.trim().is_empty() => {
            form.error = "Choose a file or paste a document.".to_owned();
            let source = one(&person, &id).await?;
            return view(
                &person,
                source,
                None,
                form,
                StatusCode::UNPROCESSABLE_ENTITY,
            )
            .await;
        }
        None => {
            form.text.clone_from(&pasted);
            (Bytes::from(pasted), named)
        }
    };
    let base_url = match form.base_url.value.trim() {
        "" => None,
        given => match BaseUrl::parse(given) {
            Ok(url) => Some(url),
            Err(error) => {
                form.base_url.error = sentence(&error.to_string());
                let source = one(&person, &id).await?;
                return view(
                    &person,
                    source,
                    None,
                    form,
                    StatusCode::UNPROCESSABLE_ENTITY,
                )
                .await;
            }
        },
    };
    let upload = Upload {
        source: id.clone(),
        name,
        text: text.clone(),
        base_url,
        fetched_from: None,
        join: Join::Fitting,
        limit: person.web.document_bytes(),
    };
    let store = &person.app().store;
    match imports::document(store, &person.actor, upload, person.now).await {
        Ok(imported) => {
            let what = count(imported.operations, "operation", "operations");
            let odd = match imported.warnings.len() {
                0 => String::new(),
                some => format!(
                    " It has {}; the Schema tab lists them.",
                    count(some as u64, "odd place", "odd places")
                ),
            };
            match (imported.outcome, imported.kept) {
                (Outcome::Skipped { reason }, _) => Ok(failed(
                    &person,
                    &back,
                    &format!("“{}” is left out: {}", imported.name, sentence(&reason)),
                )),
                (Outcome::Same, Some((api, _))) => Ok(done(
                    &person,
                    &format!("/apis/{api}"),
                    &format!("“{}” is the same as before: nothing new.", imported.name),
                )),
                (_, Some((api, _))) => Ok(done(
                    &person,
                    &format!("/apis/{api}"),
                    &format!("“{}” is imported: {what}.{odd}", imported.name),
                )),
                (_, None) => Ok(done(
                    &person,
                    &back,
                    &format!("“{}” is imported: {what}.{odd}", imported.name),
                )),
            }
        }
        Err(refusal) if is_correctable(&refusal) => {
            let mut error = Field::default();
            let status = status_of(&refusal);
            let ImportForm { name, base_url, .. } = &mut form;
            let other = blame(
                &refusal,
                &mut [
                    (&["name"], name),
                    (&["baseUrl", "base_url"], base_url),
                    (&["text", "document", "file"], &mut error),
                ],
            );
            form.error = if other.is_empty() { error.error } else { other };
            form.excerpt = excerpt(&text, &form.error);
            let source = one(&person, &id).await?;
            view(&person, source, None, form, status).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// The lines around the one a message names: `…, line 12, …`.
fn excerpt(text: &[u8], message: &str) -> Vec<(u64, String, bool)> {
    let named = message.split_once("line ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    });
    let Some(at) = named.filter(|at| *at > 0) else {
        return Vec::new();
    };
    let from = at.saturating_sub(3).max(1);
    text.split(|byte| *byte == b'\n')
        .zip(1_u64..)
        .skip(usize::try_from(from - 1).unwrap_or(usize::MAX))
        .take(5)
        .map(|(line, number)| {
            let line: String = String::from_utf8_lossy(line).chars().take(160).collect();
            (number, line, number == at)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_is_wrong_is_shown_with_its_neighbours() {
        let text = b"a\nb\nc\nd\ne\nf\n";
        let shown = excerpt(text, "It is no YAML: line 4, column 2: odd.");
        let numbers: Vec<(u64, bool)> = shown.iter().map(|(n, _, here)| (*n, *here)).collect();
        assert_eq!(
            numbers,
            [(1, false), (2, false), (3, false), (4, true), (5, false)]
        );
        assert!(excerpt(text, "It is empty.").is_empty());
        assert!(excerpt(text, "line 99999999999999999999").is_empty());
        assert!(excerpt(text, "line 900").is_empty());
    }
}
