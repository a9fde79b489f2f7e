//! Who calls: the key in `X-Auth`, and in whose name and which organisation it is used.
//!
//! In: the head of a request. Out: an [`Actor`], or why there is none. Sessions of the pages are no way in here: a page of
//! somebody else's cannot make a browser send a key.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::envelope::Context;
use super::keys::UnknownKeys;
use super::problem::Problem;
use crate::access::Actor;
use crate::access::door::WithKey;
use crate::app::App;
use crate::problems::UNAUTHENTICATED;
use crate::{Millis, Refusal, random};

/// Bytes of a key: far more than any has.
const MAX_KEY: usize = 200;

/// Who calls.
#[derive(Debug)]
pub(super) struct Caller(pub(super) Actor);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Caller, Problem> {
        let context = parts.extensions.get::<Context>().cloned();
        let correlation = context
            .as_ref()
            .map_or("", |context| context.correlation.as_str());
        let address = super::address(app, parts);
        let keys = parts.extensions.get::<Arc<UnknownKeys>>().cloned();
        let keys = keys.unwrap_or_default();
        let now = Millis::now();
        let key = header(parts, "x-auth")?;
        let fingerprint = key.map(random::fingerprint);
        if let Some(fingerprint) = &fingerprint {
            keys.may_try(fingerprint, &address, now)
                .map_err(|wait| Refusal::TooMany {
                    seconds: wait.as_secs().max(1),
                })?;
        }
        let with = WithKey {
            key,
            organisation: header(parts, "x-invicti-organizationid")?,
            user: header(parts, "x-invicti-userid")?,
            correlation,
            address: &address,
        };
        let found = app.door.actor_of_key(&app.store, with, now).await;
        if let Some(fingerprint) = fingerprint {
            match &found {
                Err(Refusal::Unauthenticated(_)) => {
                    keys.unknown(&fingerprint, &address, now);
                    tracing::warn!(address, correlation, "an API key was refused");
                }
                Ok(_) => keys.good(fingerprint, now),
                Err(_) => {}
            }
        }
        let actor = found?;
        if let Some(context) = context {
            let _ = context.actor.set(actor.name.clone());
        }
        Ok(Caller(actor))
    }
}

/// A header of which there is one at most.
fn header<'a>(parts: &'a Parts, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let shown = match name {
        "x-auth" => "X-Auth",
        "x-invicti-userid" => "X-Invicti-UserId",
        _ => "X-Invicti-OrganizationId",
    };
    let mut values = parts.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::parameter(shown, "given twice"));
    }
    match value.to_str().map(str::trim) {
        Ok(key) if name == "x-auth" && key.len() <= MAX_KEY => Ok(Some(key)),
        _ if name == "x-auth" => Err(Problem::new(
            UNAUTHENTICATED,
            "what X-Auth holds is no API key; one looks like slk_ and 43 characters",
        )),
        // Empty, it is not taken for missing: who meant to act for somebody would act for themselves.
        Ok(id) if uuid::Uuid::try_parse(id).is_ok() => Ok(Some(id)),
        _ => Err(Problem::parameter(shown, "no UUID")),
    }
}
