//! How forwarding to the catalog stands, for people and Prometheus.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Admin, Shown, blocking};
use crate::forward::standing;

/// `/v1/forwarding`.
pub(super) async fn forwarding(State(admin): Shown) -> Response {
    blocking(move || {
        let mut value = summary(&admin, crate::unix_millis());
        // Without a registration the outbox is not even opened.
        if admin.forwarding.is_registered()
            && let Ok(hosts) = admin.forwarding.outbox.list()
        {
            value["hosts"] = hosts.iter().map(forwarded_host).collect();
        }
        Json(value).into_response()
    })
    .await
}

/// Everything but the hosts.
pub(super) fn summary(admin: &Admin, now: u64) -> Value {
    let visible = admin.forwarding.visible();
    let hosts = admin.forwarding.hosts();
    let outbox = admin
        .forwarding
        .is_registered()
        .then(|| admin.forwarding.outbox.totals().ok())
        .flatten();
    let mut value = json!(visible);
    value["last_error"] = json!(visible.last_error());
    value["troubles"] = json!(visible.troubles());
    value["hosts_known"] = json!(hosts.known);
    value["hosts_waiting"] = json!(hosts.waiting);
    value["outbox"] = outbox.map_or(Value::Null, |totals| {
        json!({
            "pending": totals.pending,
            "bytes": totals.bytes,
            "oldest_seconds": totals.oldest.map(|at| now.saturating_sub(at) / 1000),
            "merged": totals.merged,
        })
    });
    value
}

/// One host.
pub fn forwarded_host(standing: &crate::forward::outbox::Standing) -> Value {
    let record = &standing.record;
    json!({
        "host": standing.host,
        "pending": standing.pending,
        "pending_since": standing.oldest,
        "sequence": record.sequence,
        "delivered": record.delivered.as_ref().map(|it| json!({"sequence": it.sequence, "at": it.at})),
        "refused": record.refused.as_ref().map(|it| {
            json!({"sequence": it.sequence, "status": it.status, "why": it.why, "at": it.at})
        }),
        "merged": record.merged,
    })
}

/// Sets the gauges.
pub(super) fn set_metrics(admin: &Admin) {
    let value = summary(admin, crate::unix_millis());
    let metrics = &admin.metrics;
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let connected = admin.forwarding.visible().state == standing::State::Connected;
    metrics.forward_connected.set(i64::from(connected));
    metrics
        .forward_hosts_waiting
        .set(number(&value["hosts_waiting"]));
    let outbox = &value["outbox"];
    metrics.forward_pending.set(number(&outbox["pending"]));
    metrics.forward_bytes.set(number(&outbox["bytes"]));
    metrics
        .forward_oldest
        .set(number(&outbox["oldest_seconds"]));
    metrics.forward_merged.set(number(&outbox["merged"]));
}
