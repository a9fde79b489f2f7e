//! Linking: an API with a target is in the catalog, one without is in discovery.
//!
//! In: APIs and a target. Out: links, all or none. An API's base URL must lie under the target's URL; where it does not, the
//! refusal says both and what target would be right, and [`create_targets`] makes it.

use serde_json::json;

use super::api::{self, Known};
use super::base_url::BaseUrl;
use super::target::{self, Target};
use crate::access::{Actor, Permission};
use crate::ids::{ApiId, TargetId};
use crate::store::{Store, Write};
use crate::{Millis, Refusal, problems};

/// APIs that are changed at once.
pub const MAX_APIS: usize = 1_000;

/// Not none, not too many.
pub(super) fn bounded(apis: &[ApiId]) -> Result<(), Refusal> {
    match apis.len() {
        0 => Err(Refusal::invalid(
            "apiIds",
            "no API is named; name at least one",
        )),
        1..=MAX_APIS => Ok(()),
        many => Err(Refusal::invalid(
            "apiIds",
            format!("{many} APIs are named; at most {MAX_APIS} are taken at once"),
        )),
    }
}

/// Links APIs to a target; those that are linked to it already stay so, those that are linked elsewhere move.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`]; [`Refusal::Conflict`] `not-under-target`, which names every API that does not lie
/// under the target, and why. Then nothing is changed: who chose them together sees the whole list before deciding again.
pub async fn link(
    store: &Store,
    actor: &Actor,
    apis: &[ApiId],
    target: &TargetId,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageApis)?;
    bounded(apis)?;
    let mut write = store.write().await?;
    let target = target::known(&mut write, &actor.organisation, target).await?;
    let mut outside: Vec<(usize, Known)> = Vec::new();
    for (at, api) in apis.iter().enumerate() {
        let known = api::known(&mut write, &actor.organisation, api).await?;
        if known.base_url.lies_under(&target.url) {
            set(&mut write, actor, &known, &target, now).await?;
        } else {
            outside.push((at, known));
        }
    }
    if outside.is_empty() {
        return Ok(write.commit().await?);
    }
    Err(not_under(&outside, &target))
}

/// APIs that a message names; all are in the list beside it.
const NAMED: usize = 5;

fn not_under(outside: &[(usize, Known)], target: &Target) -> Refusal {
    let reason = |api: &Known| {
        let why = api.base_url.why_not_under(&target.url).unwrap_or_default();
        format!("“{}” at {} ({why})", api.name, api.base_url)
    };
    let mut named: Vec<String> = outside
        .iter()
        .take(NAMED)
        .map(|(_, api)| reason(api))
        .collect();
    if let Some(more @ 1..) = outside.len().checked_sub(NAMED) {
        named.push(format!("{more} more"));
    }
    let does = if outside.len() == 1 { "does" } else { "do" };
    let message = format!(
        "{} {does} not lie under the target “{}” at {}: scheme, host and port must be the same, and the path the target's or below \
         it; create targets for what does not, or leave it out; nothing was linked",
        named.join(", "),
        target.name,
        target.url,
    );
    let each = outside
        .iter()
        .map(|(at, api)| {
            let message = format!("{} does not lie under {}", reason(api), target.url);
            (format!("apiIds[{at}]"), message)
        })
        .collect();
    Refusal::Conflict {
        code: problems::NOT_UNDER_TARGET.name,
        message,
        field: "targetId",
        each,
    }
}

async fn set(
    write: &mut Write,
    actor: &Actor,
    api: &Known,
    target: &Target,
    now: Millis,
) -> Result<(), Refusal> {
    if api.target.as_ref() == Some(&target.id) {
        return Ok(());
    }
    sqlx::query("UPDATE apis SET target_id = $1, linked_at = $2, linked_by = $3 WHERE id = $4")
        .bind(target.id.as_str())
        .bind(now.0)
        .bind(actor.name.as_str())
        .bind(api.id.as_str())
        .execute(&mut **write)
        .await?;
    let details = json!({ "target": target.name, "targetId": target.id, "targetUrl": target.url.to_string() });
    api::record(write, actor, "api.link", (&api.id, &api.name), details, now).await
}

/// Takes APIs back to discovery; those that are there already stay so.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`]; then nothing is changed.
pub async fn unlink(
    store: &Store,
    actor: &Actor,
    apis: &[ApiId],
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageApis)?;
    bounded(apis)?;
    let mut write = store.write().await?;
    for api in apis {
        let known = api::known(&mut write, &actor.organisation, api).await?;
        let Some(before) = &known.target else {
            continue;
        };
        let target = target::known(&mut write, &actor.organisation, before).await?;
        sqlx::query(
            "UPDATE apis SET target_id = NULL, linked_at = NULL, linked_by = NULL WHERE id = $1",
        )
        .bind(api.as_str())
        .execute(&mut *write)
        .await?;
        let details = json!({ "target": target.name, "targetId": target.id });
        api::record(
            &mut write,
            actor,
            "api.unlink",
            (api, &known.name),
            details,
            now,
        )
        .await?;
    }
    Ok(write.commit().await?)
}

/// The target that an API needs at least: its own base URL.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn propose(store: &Store, actor: &Actor, api: &ApiId) -> Result<BaseUrl, Refusal> {
    Ok(api::get(store, actor, api).await?.base_url)
}

/// Makes the target each of these APIs needs, where there is none with that URL, and links them. Gives the target of each, in
/// the order of the APIs.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`]; then nothing is changed.
pub async fn create_targets(
    store: &Store,
    actor: &Actor,
    apis: &[ApiId],
    now: Millis,
) -> Result<Vec<Target>, Refusal> {
    actor.may(Permission::ManageApis)?;
    bounded(apis)?;
    let mut write = store.write().await?;
    let mut targets = Vec::with_capacity(apis.len());
    for api in apis {
        let known = api::known(&mut write, &actor.organisation, api).await?;
        let found = target::with_url(&mut write, &actor.organisation, &known.base_url).await?;
        let target = match found {
            Some(target) => target,
            None => target::insert(&mut write, actor, &known.name, &known.base_url, now).await?,
        };
        set(&mut write, actor, &known, &target, now).await?;
        targets.push(target);
    }
    write.commit().await?;
    Ok(targets)
}
