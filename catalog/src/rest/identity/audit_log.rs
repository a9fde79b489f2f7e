//! Who changed what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::audit;
use crate::ids::AuditId;
use crate::rest::caller::Caller;
use crate::rest::extract::List;
use crate::rest::paging::{ListOf, Paging, page_of};
use crate::rest::problem::Problem;
use crate::rest::values::Time;
use crate::store::Direction;

/// One change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditEntry {
    id: AuditId,
    at: Time,
    /// Who, as they were called then.
    #[schema(example = "ada@example.com")]
    actor: String,
    /// How they came in: `session`, `key`, `collector`, …
    #[schema(example = "key")]
    via: String,
    /// What was done.
    #[schema(example = "source.create")]
    action: String,
    /// To which kind of thing.
    #[schema(example = "source")]
    subject: String,
    /// Its id.
    subject_id: String,
    /// What it was called then.
    #[schema(example = "Edge gateways")]
    subject_name: String,
    /// What else there is to say; never a secret.
    #[schema(value_type = Object)]
    details: serde_json::Value,
    /// `X-Correlation-ID` of the request, or empty.
    correlation_id: String,
    /// Where it came from, or empty.
    #[schema(example = "192.0.2.7")]
    address: String,
}

impl From<audit::Logged> for AuditEntry {
    fn from(entry: audit::Logged) -> AuditEntry {
        let details = match entry.details {
            details @ serde_json::Value::Object(_) => details,
            _ => serde_json::json!({}),
        };
        AuditEntry {
            id: entry.id,
            at: entry.at.into(),
            actor: entry.actor,
            via: entry.via,
            action: entry.action,
            subject: entry.subject,
            subject_id: entry.subject_id,
            subject_name: entry.subject_name,
            details,
            correlation_id: entry.correlation,
            address: entry.address,
        }
    }
}

/// Which entries to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditFilter {
    /// A part of the actor's name, without case.
    actor: Option<String>,
    /// This action, whole.
    #[param(example = "source.create")]
    action: Option<String>,
    /// This kind of thing, whole.
    #[param(example = "source")]
    subject: Option<String>,
    /// This thing's id, whole.
    subject_id: Option<String>,
    /// Not before.
    from: Option<Time>,
    /// Before.
    to: Option<Time>,
    /// A part of the thing's name, the details or the correlation id, without case.
    text: Option<String>,
}

/// Which actions to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ActionFilter {
    /// A part of the action, without case.
    text: Option<String>,
}

/// List the audit log
///
/// Newest first. Needs the permission `audit:view`.
#[utoipa::path(get, path = "/api/v1/audit-log", tag = "Audit log", params(Paging, AuditFilter),
    responses((status = 200, description = "A page of entries.", body = ListOf<AuditEntry>)))]
pub(super) async fn list_audit_log(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<AuditFilter>,
) -> Result<Json<ListOf<AuditEntry>>, Problem> {
    let filter = audit::Filter {
        actor: filter.actor,
        action: filter.action,
        subject: filter.subject,
        subject_id: filter.subject_id,
        from: filter.from.map(|at| at.0),
        to: filter.to.map(|at| at.0),
        text: filter.text,
    };
    let page = audit::list(&app.store, &actor, &filter, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// List actions of the audit log
///
/// Those that are in it, to filter by.
#[utoipa::path(get, path = "/api/v1/audit-log/actions", tag = "Audit log", params(Paging, ActionFilter),
    responses((status = 200, description = "A page of actions.", body = ListOf<String>)))]
pub(super) async fn list_audit_actions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<ActionFilter>,
) -> Result<Json<ListOf<String>>, Problem> {
    let mut all = audit::actions(&app.store, &actor).await?;
    if let Some(text) = filter.text.map(|text| text.to_lowercase()) {
        all.retain(|action| action.contains(&text));
    }
    Ok(Json(ListOf::from_page(page_of(
        all,
        Direction::Ascending,
        page,
    ))))
}
