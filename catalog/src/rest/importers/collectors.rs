//! Registration tokens of traffic analyzers, and the collectors that used them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Millis;
use crate::app::App;
use crate::ids::{CollectorId, SourceId, TokenId};
use crate::rest::caller::Caller;
use crate::rest::extract::{List, Path};
use crate::rest::paging::{ListOf, Paging, page_of};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts};
use crate::rest::{Created, created};
use crate::sources;
use crate::store::Direction;

/// A registration token, without the secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegistrationToken {
    id: TokenId,
    created_at: Time,
    /// By whom.
    #[schema(example = "ada@example.com")]
    created_by: String,
    expires_at: Time,
    /// When a collector used it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    used_at: Option<Time>,
}

impl From<sources::Token> for RegistrationToken {
    fn from(token: sources::Token) -> RegistrationToken {
        RegistrationToken {
            id: token.id,
            created_at: token.created_at.into(),
            created_by: token.created_by,
            expires_at: token.expires_at.into(),
            used_at: token.used_at.map(Into::into),
        }
    }
}

/// A registration token that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewRegistrationToken {
    id: TokenId,
    /// The token itself: shown this once.
    token: String,
    expires_at: Time,
    /// What to run where the collector is.
    #[schema(
        example = "silhouette-collector register --catalog https://catalog.example.com --token slr_…"
    )]
    command: String,
}

/// A collector that registered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Collector {
    id: CollectorId,
    /// What it calls itself.
    #[schema(example = "edge-1")]
    name: String,
    #[schema(example = "0.1.0")]
    version: String,
    /// Where it last came from.
    #[schema(example = "192.0.2.7")]
    address: String,
    registered_at: Time,
    /// Since when it has its present credential.
    credential_issued_at: Time,
    /// Its last heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    heartbeat_at: Option<Time>,
    /// Whether it has been silent for too long.
    offline: bool,
    /// Its clock minus the catalog's at the last heartbeat, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    clock_skew_millis: Option<i64>,
    /// Hosts it sees.
    hosts_known: u64,
    /// Hosts among them with too few operations to be handed over.
    hosts_waiting: u64,
    /// Revisions that wait there.
    outbox_pending: u64,
    /// How long the oldest of them has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outbox_oldest_seconds: Option<u64>,
    /// Revisions that were folded into newer ones because too many waited.
    outbox_merged: u64,
    /// What it last said went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<String>,
    /// When it was revoked or took its leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revoked_at: Option<Time>,
}

impl From<sources::Collector> for Collector {
    fn from(collector: sources::Collector) -> Collector {
        Collector {
            id: collector.id,
            name: collector.name,
            version: collector.version,
            address: collector.address,
            registered_at: collector.registered_at.into(),
            credential_issued_at: collector.issued_at.into(),
            heartbeat_at: collector.heartbeat_at.map(Into::into),
            offline: collector.offline,
            clock_skew_millis: collector.skew_millis,
            hosts_known: collector.hosts.known,
            hosts_waiting: collector.hosts.waiting,
            outbox_pending: collector.outbox.pending,
            outbox_oldest_seconds: collector.outbox.oldest_seconds,
            outbox_merged: collector.outbox.merged,
            last_error: collector.last_error,
            revoked_at: collector.revoked_at.map(Into::into),
        }
    }
}

/// Which tokens to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct TokenFilter {
    /// Used ones, or the others.
    used: Option<bool>,
    /// In which order.
    #[param(inline)]
    sort: Option<TokenSort>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::rest) enum By {
    Created,
    Expires,
}

sorts! {
    /// The order of tokens.
    TokenSort: By, default "-createdAt" { "createdAt" => By::Created, "expiresAt" => By::Expires, }
}

/// Which collectors to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct CollectorFilter {
    /// A part of the name or the address, without case.
    text: Option<String>,
    /// Those that have been silent for too long, or the others.
    offline: Option<bool>,
}

/// List registration tokens of a source
///
/// The newest first, without their secrets.
#[utoipa::path(get, path = "/api/v1/sources/{sourceId}/tokens", tag = "Collectors",
    params(("sourceId" = SourceId, Path, description = "Of which source."), Paging, TokenFilter),
    responses((status = 200, description = "A page of tokens.", body = ListOf<RegistrationToken>)))]
pub(super) async fn list_registration_tokens(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(source): Path<SourceId>,
    List { page, filter }: List<TokenFilter>,
) -> Result<Json<ListOf<RegistrationToken>>, Problem> {
    let mut all = sources::tokens(&app.store, &actor, &source).await?;
    if let Some(used) = filter.used {
        all.retain(|token| token.used_at.is_some() == used);
    }
    let TokenSort(by, direction) = filter.sort.unwrap_or_default();
    all.sort_by_key(|token| match by {
        By::Created => token.created_at,
        By::Expires => token.expires_at,
    });
    Ok(Json(ListOf::from_page(page_of(all, direction, page))))
}

/// Make a registration token
///
/// For one collector, to be used within 48 hours. The secret is shown this once.
#[utoipa::path(post, path = "/api/v1/sources/{sourceId}/tokens", tag = "Collectors",
    params(("sourceId" = SourceId, Path, description = "For which source.")), responses(
    (status = 201, description = "The token.", body = NewRegistrationToken),
    (status = 409, description = "`no-collectors`: no collector forwards to a source of this kind.")))]
pub(super) async fn create_registration_token(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(source): Path<SourceId>,
) -> Result<Created<NewRegistrationToken>, Problem> {
    let lifetime = app.config.token_lifetime;
    let made = sources::make_token(&app.store, &actor, &source, lifetime, Millis::now()).await?;
    let command = format!(
        "silhouette-collector register --catalog {} --token {}",
        app.public_url, made.secret
    );
    let body = NewRegistrationToken {
        id: made.id,
        token: made.secret,
        expires_at: made.expires_at.into(),
        command,
    };
    Ok(created(format!("/api/v1/sources/{source}/tokens"), body))
}

/// Revoke a registration token
///
/// What registered with it stays registered.
#[utoipa::path(delete, path = "/api/v1/sources/{sourceId}/tokens/{tokenId}", tag = "Collectors", params(
    ("sourceId" = SourceId, Path, description = "Of which source."),
    ("tokenId" = TokenId, Path, description = "Which one.")),
    responses((status = 204, description = "Revoked.")))]
pub(super) async fn revoke_registration_token(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path((source, token)): Path<(SourceId, TokenId)>,
) -> Result<StatusCode, Problem> {
    sources::revoke_token(&app.store, &actor, &source, &token, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List collectors of a source
///
/// With what they last reported; those that left too.
#[utoipa::path(get, path = "/api/v1/sources/{sourceId}/collectors", tag = "Collectors",
    params(("sourceId" = SourceId, Path, description = "Of which source."), Paging, CollectorFilter),
    responses((status = 200, description = "A page of collectors.", body = ListOf<Collector>)))]
pub(super) async fn list_collectors(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(source): Path<SourceId>,
    List { page, filter }: List<CollectorFilter>,
) -> Result<Json<ListOf<Collector>>, Problem> {
    let silence = app.config.offline_after;
    let mut all = sources::collectors(&app.store, &actor, &source, silence, Millis::now()).await?;
    if let Some(text) = filter.text.map(|text| text.to_lowercase()) {
        all.retain(|collector| {
            collector.name.to_lowercase().contains(&text) || collector.address.contains(&text)
        });
    }
    if let Some(offline) = filter.offline {
        all.retain(|collector| collector.offline == offline);
    }
    let page = page_of(all, Direction::Ascending, page);
    Ok(Json(ListOf::from_page(page)))
}

/// Revoke a collector
///
/// Its credential is dead: nothing is taken from it any more.
#[utoipa::path(delete, path = "/api/v1/sources/{sourceId}/collectors/{collectorId}", tag = "Collectors", params(
    ("sourceId" = SourceId, Path, description = "Of which source."),
    ("collectorId" = CollectorId, Path, description = "Which one.")),
    responses((status = 204, description = "Revoked.")))]
pub(super) async fn revoke_collector(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path((source, collector)): Path<(SourceId, CollectorId)>,
) -> Result<StatusCode, Problem> {
    let (silence, now) = (app.config.offline_after, Millis::now());
    sources::revoke_collector(&app.store, &actor, &source, &collector, silence, now).await?;
    Ok(StatusCode::NO_CONTENT)
}
