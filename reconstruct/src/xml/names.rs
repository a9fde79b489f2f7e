//! Namespaces and prefixes of elements and attributes (Namespaces in XML 1.0), as [`Notes`].
//!
//! In: qualified names and what is declared around them. Out: for each local name the namespace and the prefix that all who used one
//! agree on. A namespace is a name its author gave; one that has data in it is never kept.

use super::local;
use crate::keys;
use crate::notes::Notes;
use crate::shape::Scale;
use quick_xml::events::BytesStart;
use quick_xml::name::{Namespace, NamespaceResolver, QName, ResolveResult};
use std::collections::HashSet;

/// Namespace of hints for XML Schema (`xsi:nil`), which are no attributes of the API.
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Declarations in scope at once; a document with more is read without its namespaces.
const MOST_DECLARATIONS: usize = 64;
const LONGEST_NAMESPACE: usize = 96;
const LONGEST_PREFIX: usize = 16;
/// Stands for a namespace that may hold data.
const UNSPEAKABLE: &str = "?";

/// What is declared around the place a document is read at.
pub(super) struct Scope<'n> {
    declared: NamespaceResolver,
    notes: &'n mut Notes,
    noted: HashSet<String>,
    scale: Scale,
}

impl<'n> Scope<'n> {
    pub(super) fn new(notes: &'n mut Notes, scale: Scale) -> Scope<'n> {
        let mut declared = NamespaceResolver::default();
        declared.set_max_namespace_bindings(MOST_DECLARATIONS);
        Scope {
            declared,
            notes,
            noted: HashSet::new(),
            scale,
        }
    }

    pub(super) fn enter(&mut self, tag: &BytesStart<'_>) {
        // Too many or wrong declarations: what uses them is in no namespace.
        let _ = self.declared.push(tag);
    }

    pub(super) fn leave(&mut self) {
        self.declared.pop();
    }

    /// Whether an attribute belongs to the language itself: a declaration, `xml:lang`, a hint for XML Schema.
    pub(super) fn is_of_xml(&self, name: QName<'_>) -> bool {
        let text = name.as_ref();
        text == "xmlns"
            || ["xmlns:", "xml:", "xsi:"]
                .iter()
                .any(|p| text.starts_with(p))
            || matches!(
                self.declared.resolve_attribute(name).0,
                ResolveResult::Bound(Namespace(INSTANCE))
            )
    }

    pub(super) fn element(&mut self, name: QName<'_>) {
        self.note("", name, true);
    }

    pub(super) fn attribute(&mut self, name: QName<'_>) {
        if name.as_ref().contains(':') {
            self.note("@", name, false);
        }
    }

    fn note(&mut self, mark: &str, name: QName<'_>, default: bool) {
        let ResolveResult::Bound(Namespace(uri)) = self.declared.resolve(name, default).0 else {
            return;
        };
        let uri = if is_public(uri) { uri } else { UNSPEAKABLE };
        let prefix = name
            .as_ref()
            .rsplit_once(':')
            .map_or("", |(prefix, _)| prefix);
        let prefix = if prefix.len() <= LONGEST_PREFIX {
            prefix
        } else {
            ""
        };
        let note = format!("{mark}{}\n{uri}\n{prefix}", local(name.as_ref()));
        if self.noted.insert(note.clone()) {
            self.notes.add(&note, self.scale);
        }
    }
}

/// Whether a namespace is an absolute URI of words, years and versions only.
fn is_public(uri: &str) -> bool {
    let word = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        if digits == part.len() {
            digits <= 4
        } else {
            digits * 2 <= part.len() && !keys::is_data(part)
        }
    };
    uri.len() <= LONGEST_NAMESPACE
        && uri.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && scheme.bytes().all(|b| b.is_ascii_alphabetic())
                && !scheme.is_empty()
        })
        && uri
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":/.-_#+".contains(&b))
        && uri.split(|c: char| !c.is_ascii_alphanumeric()).all(word)
}

/// The namespace and the prefix of a member (`name`, `@name`), as far as there is one.
pub(crate) fn of<'n>(notes: &'n Notes, member: &str) -> (Option<&'n str>, Option<&'n str>) {
    let agreed = |part: usize| {
        let mut all = notes.all().filter_map(|note| {
            let mut parts = note.split('\n');
            (parts.next() == Some(member))
                .then(|| parts.nth(part))
                .flatten()
        });
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    };
    let namespace = agreed(0).filter(|uri| *uri != UNSPEAKABLE);
    let prefix = agreed(1).filter(|prefix| !prefix.is_empty());
    (namespace, namespace.and(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_names() {
        for uri in [
            "http://schemas.xmlsoap.org/soap/envelope/",
            "http://www.w3.org/2001/XMLSchema",
            "urn:example:orders:v2",
            "http://schemas.datacontract.org/2004/07/Shop.Orders",
        ] {
            assert!(is_public(uri), "{uri}");
        }
        for uri in [
            "",
            "relative",
            "urn:",
            "urn:uuid:0d2a5a3e-5e1c-4f0e-9d5c-2f8f0b6a7c11",
            "urn:customer:4711047",
            "http://example.com/ada@example.com",
            "urn:k:zq8d2f0c4a17be",
        ] {
            assert!(!is_public(uri), "{uri}");
        }
    }
}
