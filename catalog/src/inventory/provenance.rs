//! Which definition a collector writes when it tells of a host.
//!
//! In: a source, a host and a collector. Out: the key of its definition. Collectors of one source that see the same host each saw a
//! part of its traffic: each has a definition of its own, and what they say is joined where the API is shown and where drift is looked
//! for. The first has the host's name for its key, the others that and their id. What a collector leaves behind that was revoked or
//! deleted is taken over by the next that tells of the host and has none of its own, so that replacing a machine makes no other definition.

use sqlx::{AnyConnection, Row as _};

use crate::Refusal;
use crate::ids::{CollectorId, SourceId};

/// The key under which a collector's definition of a host stands, or is to be made. `host` is in lower case.
pub(super) async fn key(
    connection: &mut AnyConnection,
    source: &SourceId,
    host: &str,
    collector: &CollectorId,
) -> Result<String, Refusal> {
    let own = format!("{host} ({collector})");
    // Whose a definition is its latest revision says.
    let rows = sqlx::query(
        "SELECT d.key, r.collector_id, c.id FROM definitions d JOIN revisions r ON r.id = d.revision_id \
         LEFT JOIN collectors c ON c.id = r.collector_id AND c.revoked_at IS NULL \
         WHERE d.source_id = $1 AND (d.key = $2 OR d.key = $3)",
    )
    .bind(source.as_str())
    .bind(host)
    .bind(&own)
    .fetch_all(connection)
    .await?;
    let mut held = false;
    for row in &rows {
        let (key, holder): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let is_there = row.try_get::<Option<String>, _>(2)?.is_some();
        held |= key == own || (is_there && holder.as_deref() != Some(collector.as_str()));
    }
    Ok(if held { own } else { host.to_owned() })
}
