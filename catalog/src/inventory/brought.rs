//! Revisions that people bring: uploads, pastes, and what was fetched for them.
//!
//! In: a document that was read, and what was said of it. Out: the next revision of a documented definition, unless the latest is
//! the same text.

use super::base_url::BaseUrl;
use super::definition::{DefinitionKind, Join};
use super::document::Document;
use super::history::{self, Before, NewRevision, Origin, keep, refresh_drift};
use crate::ids::{ApiId, OrganisationId, RevisionId, SourceId};
use crate::store::{Store, Write};
use crate::{Millis, Refusal, problems};

/// A document that a person brings, to keep as a documented definition.
#[derive(Debug)]
pub(crate) struct NewDocument<'a> {
    pub(crate) organisation: &'a OrganisationId,
    pub(crate) source: &'a SourceId,
    /// What the source calls it.
    pub(crate) name: Name<'a>,
    pub(crate) document: &'a Document,
    pub(crate) by: &'a str,
    pub(crate) base_url: &'a BaseUrl,
    /// Whether a person said so, and not the document.
    pub(crate) placed: bool,
    pub(crate) join: &'a Join,
}

/// What a source calls a document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name<'a> {
    /// A person said so.
    Given(&'a str),
    /// It is made of the document's title: several may have the same.
    Made(&'a str),
}

/// A document that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// Whether it was not there before.
    pub(crate) created: bool,
    pub(crate) revision: RevisionId,
    pub(crate) api: ApiId,
    /// What the source calls it.
    pub(crate) key: String,
}

/// Keeps a document as the next revision of its definition, unless the latest is the same text; `note` writes down what was
/// done in the same transaction. What stands on another server is no revision of the same, whatever its name.
pub(crate) async fn keep_document(
    store: &Store,
    new: &NewDocument<'_>,
    now: Millis,
    note: impl AsyncFnOnce(&mut Write, &Kept) -> Result<(), Refusal>,
) -> Result<Kept, Refusal> {
    let mut write = store.write().await?;
    store.serialise(&mut write, new.organisation).await?;
    let (Name::Given(name) | Name::Made(name)) = new.name;
    let mut key = name.to_owned();
    let mut origin = history::origin(&mut write, new.organisation, new.source, &key).await?;
    let elsewhere = |origin: &Origin| {
        let known = origin.definition.as_ref().map(|known| &known.base_url);
        known
            .filter(|known| !new.placed && !known.is_on_server_of(new.base_url))
            .cloned()
    };
    if let Some(place) = elsewhere(&origin) {
        if let Name::Given(name) = new.name {
            return Err(Refusal::conflict(
                problems::NAME_ELSEWHERE,
                "name",
                format!(
                    "“{name}” stands at {place}, and this document says that it stands at {}; give it another name, or say the \
                     base URL if the API has moved",
                    new.base_url
                ),
            ));
        }
        key = format!("{key} ({})", new.base_url.place());
        origin = history::origin(&mut write, new.organisation, new.source, &key).await?;
    }
    if let Some(known) = &origin.definition
        && known.contract == new.document.hash
    {
        return Ok(Kept {
            created: false,
            revision: known.revision.clone(),
            api: known.api.clone(),
            key,
        });
    }
    let revision = NewRevision {
        organisation: new.organisation,
        source: new.source,
        source_name: &origin.source_name,
        kind: DefinitionKind::Documented,
        key: &key,
        document: new.document,
        contract: &new.document.hash,
        collector: None,
        emitted: None,
        by: new.by,
        base_url: new.base_url,
        join: new.join,
    };
    let mut before = Before::new(new.document, DefinitionKind::Documented);
    before.renew(&mut write, origin.definition.as_ref()).await?;
    let (revision, api) = keep(&mut write, &revision, before, now).await?;
    let kept = Kept {
        created: true,
        revision,
        api,
        key,
    };
    note(&mut write, &kept).await?;
    write.commit().await?;
    refresh_drift(store, &kept.api).await;
    Ok(kept)
}
