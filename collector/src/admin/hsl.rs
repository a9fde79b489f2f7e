//! How records of BIG-IPs stand, for people.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Admin, Shown, blocking};

/// `/v1/hsl`.
pub(super) async fn hsl(State(admin): Shown) -> Response {
    blocking(move || Json(summary(&admin, usize::MAX)).into_response()).await
}

/// Listeners, keys, at most `rows` TMMs, and what was refused; null where nothing listens for BIG-IPs.
pub(super) fn summary(admin: &Admin, rows: usize) -> Value {
    let Some(hsl) = &admin.hsl else {
        return Value::Null;
    };
    let listeners: serde_json::Map<String, Value> = hsl
        .addresses
        .iter()
        .map(|(name, address)| ((*name).to_owned(), json!(address)))
        .collect();
    let mut senders = hsl.gaps.list();
    let count = senders.len();
    senders.truncate(rows);
    json!({
        "listeners": listeners,
        "has_keys": !hsl.keys.ring().is_empty(),
        "sender_count": count,
        "senders": senders,
        "refused": hsl.refused.list(),
    })
}
