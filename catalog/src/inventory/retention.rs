//! Old revisions are thinned out: of those beyond an age the last of each week stays, so that a host whose document changes daily
//! does not fill the database.
//!
//! In: an age and the time. Out: fewer revisions, the texts of documents gone that nothing else has, and what was removed in the
//! audit log. A definition's first and its latest revision stay, so do each collector's latest (its number says where the
//! collector goes on) and those that brought an operation that is still there. Work is done in steps that look at a bounded number of
//! revisions, each committed for itself: a stop in between loses nothing, the next pass begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;

use super::document;
use crate::access::Actor;
use crate::audit::{self, Entry};
use crate::ids::OrganisationId;
use crate::store::Store;
use crate::{Millis, Refusal};

/// Revisions that a step looks at.
const STEP: i64 = 500;

/// Of the revisions in a step those that go. Weeks are counted from 1970-01-01, a Thursday.
const GOING: &str = "SELECT r.id, r.document_hash, d.organisation_id FROM revisions r JOIN definitions d ON d.id = r.definition_id \
     WHERE r.id > $1 AND r.id <= $2 AND r.created_at < $3 AND r.number > 1 AND r.id <> COALESCE(d.revision_id, '') \
     AND EXISTS (SELECT 1 FROM revisions n WHERE n.definition_id = r.definition_id AND n.number > r.number \
         AND n.created_at / 604800000 = r.created_at / 604800000) \
     AND (r.collector_id IS NULL OR EXISTS (SELECT 1 FROM revisions l WHERE l.definition_id = r.definition_id \
         AND l.collector_id = r.collector_id AND l.sequence > r.sequence)) \
     AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.definition_id = r.definition_id AND o.first_revision = r.number)";

/// A pass over all revisions, step by step.
#[derive(Debug, Default)]
pub struct Thinning {
    /// The last revision that was looked at.
    after: String,
}

/// What goes in one organisation: revisions, and the texts they have.
#[derive(Default)]
struct Going {
    revisions: Vec<String>,
    texts: BTreeSet<String>,
}

impl Thinning {
    /// Looks at the next revisions that are older than `keep`; whether that was the end of the pass. The next step begins another.
    ///
    /// # Errors
    /// When the database says no; the step can be tried again.
    pub async fn step(
        &mut self,
        store: &Store,
        keep: Duration,
        now: Millis,
    ) -> Result<bool, Refusal> {
        let before = now
            .0
            .saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let looked_at = sqlx::query(
            "SELECT id FROM revisions WHERE id > $1 AND created_at < $2 ORDER BY id LIMIT $3",
        )
        .bind(&self.after)
        .bind(before)
        .bind(STEP)
        .fetch_all(store.pool())
        .await?;
        let Some(last) = looked_at.last() else {
            self.after.clear();
            return Ok(true);
        };
        let last: String = last.try_get(0)?;
        let rows = sqlx::query(GOING)
            .bind(&self.after)
            .bind(&last)
            .bind(before)
            .fetch_all(store.pool())
            .await?;
        let mut all: BTreeMap<String, Going> = BTreeMap::new();
        for row in &rows {
            let going = all.entry(row.try_get(2)?).or_default();
            going.revisions.push(row.try_get(0)?);
            going.texts.insert(row.try_get(1)?);
        }
        for (organisation, going) in all {
            let organisation = OrganisationId::read(&organisation)?;
            remove(store, organisation, going, Millis(before), now).await?;
        }
        self.after = last;
        Ok(false)
    }
}

async fn remove(
    store: &Store,
    organisation: OrganisationId,
    going: Going,
    before: Millis,
    now: Millis,
) -> Result<(), Refusal> {
    let mut write = store.write().await?;
    store.serialise(&mut write, &organisation).await?;
    let mut removed = 0;
    for revision in &going.revisions {
        let done = sqlx::query("DELETE FROM revisions WHERE id = $1")
            .bind(revision)
            .execute(&mut *write)
            .await?;
        removed += done.rows_affected();
    }
    for text in &going.texts {
        document::forget_unused(&mut write, text).await?;
    }
    if removed > 0 {
        let entry = Entry {
            action: "revision.thin",
            subject: "revision",
            id: "",
            name: "old revisions",
            details: json!({ "removed": removed, "olderThan": before.rfc3339() }),
        };
        audit::record(&mut write, &Actor::schedule(organisation), entry, now).await?;
    }
    Ok(write.commit().await?)
}
