//! One source: how it is, its collectors and tokens.

use axum::extract::Path;
use http::StatusCode;

use super::{HERE, one, parse, row};
use crate::Millis;
use crate::access::Permission;
use crate::sources::{self, Collector, Kind, Source, Status, Token};
use crate::web::answer::{Answer, page_with, refused};
use crate::web::pages::form::bytes;
use crate::web::person::Person;
use crate::web::views::sources::{CollectorRow, ImportForm, NewToken, SourcePage, TokenRow};
use crate::web::views::{When, span};

/// Clocks that drift by less are not worth a word.
const SKEW: i64 = 30_000;

/// One source.
pub(in crate::web::pages) async fn show(Path(id): Path<String>, person: Person) -> Answer {
    let source = one(&person, &parse(&id)?).await?;
    view(&person, source, None, ImportForm::default(), StatusCode::OK).await
}

pub(super) async fn view(
    person: &Person,
    source: Source,
    token: Option<NewToken>,
    mut import: ImportForm,
    status: StatusCode,
) -> Answer {
    let store = &person.app().store;
    let config = &person.app().config;
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
            .map(|collector| collector_row(collector, person.now))
            .collect(),
        tokens: tokens
            .into_iter()
            .map(|token| token_row(token, person.now))
            .collect(),
        import,
        manage,
        may_import: manage,
    };
    Ok(page_with(status, &view))
}

fn collector_row(collector: Collector, now: Millis) -> CollectorRow {
    let skew = collector
        .skew_millis
        .filter(|skew| skew.abs() >= SKEW)
        .map_or_else(String::new, |skew| {
            let way = if skew > 0 { "ahead" } else { "behind" };
            format!("its clock is {} {way}", span(skew.abs() / 1000))
        });
    let oldest = collector
        .outbox
        .oldest_seconds
        .map_or_else(String::new, |seconds| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            format!("the oldest for {}", span(seconds))
        });
    CollectorRow {
        id: collector.id.to_string(),
        name: collector.name,
        version: collector.version,
        address: collector.address,
        revoked: collector.revoked_at.is_some(),
        heartbeat: collector.heartbeat_at.map(|at| When::new(at, now)),
        skew,
        hosts: collector.hosts.known,
        waiting: collector.hosts.waiting,
        pending: collector.outbox.pending,
        oldest,
        error: collector.last_error.unwrap_or_default(),
    }
}

fn token_row(token: Token, now: Millis) -> TokenRow {
    let expired = token.expires_at <= now;
    let (state, until) = match token.used_at {
        Some(at) => ("Used", at),
        None if expired => ("Expired", token.expires_at),
        None => ("Expires", token.expires_at),
    };
    TokenRow {
        id: token.id.to_string(),
        created: When::new(token.created_at, now),
        by: token.created_by,
        state: state.to_owned(),
        until: Some(When::new(until, now)),
        revocable: token.used_at.is_none() && !expired,
    }
}
