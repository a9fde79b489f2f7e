//! What changed between two revisions, as findings and as text.
//!
//! In: two revisions of the same organisation, of one definition or of two. Out: what changed and whom it breaks, and a unified
//! diff of the texts, both written alike so that order and spacing of one writer do not hide what changed.

use std::time::Duration;

use silhouette_openapi::Class;

use super::document::{self, Format, apart, described};
use super::revision::{self, Revision};
use crate::Refusal;
use crate::access::Actor;
use crate::ids::RevisionId;
use crate::store::Store;

/// Changes that are given; the rest is counted.
const MAX_CHANGES: usize = 2_000;
/// Texts above this are not compared line by line.
const MAX_TEXT: usize = 4 << 20;
/// Lines of a unified diff that are given.
const MAX_LINES: usize = 20_000;

/// What changed between two revisions.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The first.
    pub from: Revision,
    /// The second.
    pub to: Revision,
    /// The gravest first.
    pub changes: Vec<Change>,
    /// How many more there are.
    pub more: usize,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How much it matters.
    pub class: Class,
    /// The rule's name, which never changes: `operation-removed`.
    pub rule: &'static str,
    /// What the rule means.
    pub meaning: &'static str,
    /// A sentence about it.
    pub message: String,
    /// The operations it concerns, `GET /books`.
    pub operations: Vec<String>,
    /// Where in the first document: a JSON pointer and its line.
    pub from: (String, u32),
    /// Where in the second.
    pub to: (String, u32),
}

/// Compares what two revisions say.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn compare(
    store: &Store,
    actor: &Actor,
    from: &RevisionId,
    to: &RevisionId,
) -> Result<Comparison, Refusal> {
    let (from, to) = (
        revision::get(store, actor, from).await?,
        revision::get(store, actor, to).await?,
    );
    let old = document::load(store, &from.hash).await?;
    let new = document::load(store, &to.hash).await?;
    let found = apart(old.len() + new.len(), move || {
        let (old, new) = (described(&old)?, described(&new)?);
        let report = silhouette_openapi::diff(&old, &new);
        let more = report.findings.len().saturating_sub(MAX_CHANGES);
        let changes = report.findings.into_iter().take(MAX_CHANGES);
        let changes = changes.map(|finding| Change {
            class: finding.class(),
            rule: finding.rule.id(),
            meaning: finding.rule.meaning(),
            from: (finding.first.clone(), old.line(&finding.first)),
            to: (finding.second.clone(), new.line(&finding.second)),
            message: finding.message,
            operations: finding.operations,
        });
        Ok::<_, Refusal>((changes.collect(), more))
    });
    let (changes, more) = found.await??;
    Ok(Comparison {
        from,
        to,
        changes,
        more,
    })
}

/// A unified diff of the documents of two revisions, both as YAML where they can be rewritten.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::TooLarge`] above 4 MiB.
pub async fn compare_texts(
    store: &Store,
    actor: &Actor,
    from: &RevisionId,
    to: &RevisionId,
) -> Result<String, Refusal> {
    let (from, to) = (
        revision::get(store, actor, from).await?,
        revision::get(store, actor, to).await?,
    );
    for revision in [&from, &to] {
        if revision.size > MAX_TEXT as u64 {
            return Err(Refusal::TooLarge {
                what: "the document to compare line by line",
                size: revision.size,
                limit: MAX_TEXT as u64,
            });
        }
    }
    let old = document::load(store, &from.hash).await?;
    let new = document::load(store, &to.hash).await?;
    let names = (
        format!("revision {}", from.number),
        format!("revision {}", to.number),
    );
    apart(4 * (old.len() + new.len()), move || {
        let alike = |text: Vec<u8>| {
            let rewritten = document::in_format(text.clone(), Format::Yaml).unwrap_or(text);
            String::from_utf8_lossy(&rewritten).into_owned()
        };
        unified(&alike(old), &alike(new), &names)
    })
    .await
}

fn unified(old: &str, new: &str, names: &(String, String)) -> String {
    let diff = similar::TextDiff::configure()
        // A diff that takes longer is coarser, not wrong.
        .timeout(Duration::from_secs(5))
        .diff_lines(old, new);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(&names.0, &names.1)
        .to_string();
    let mut out = String::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if at == MAX_LINES {
            out.push_str("… more lines differ\n");
            break;
        }
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_shown_with_its_surroundings() {
        let names = ("revision 1".to_owned(), "revision 2".to_owned());
        let text = unified("a\nb\nc\n", "a\nx\nc\n", &names);
        assert_eq!(
            text,
            "--- revision 1\n+++ revision 2\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"
        );
        assert_eq!(unified("a\n", "a\n", &names), "");
    }
}
