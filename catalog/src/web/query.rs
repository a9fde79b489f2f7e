//! The address of a list: its filters, its order, its page.
//!
//! In: the query of a request, and the names a page knows. Out: values, and addresses of the same list with something changed. What a page does
//! not know is left out, so that nothing foreign is carried along.

use crate::Refusal;
use crate::store::{Direction, Page};

/// Rows of a page.
const SIZE: u32 = 50;

/// What was asked of a list.
#[derive(Debug, Clone)]
pub(super) struct Query {
    path: String,
    pairs: Vec<(&'static str, String)>,
    page: u32,
}

impl Query {
    /// Reads `raw` for the list at `path`. Of a name that comes twice the first counts; empty values are none.
    pub(super) fn read(
        path: impl Into<String>,
        raw: Option<&str>,
        names: &[&'static str],
    ) -> Query {
        const LONGEST: usize = 300;
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        let mut page = 1;
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            if name == "page" {
                page = value.parse().unwrap_or(1).max(1);
            }
            let known = names.iter().find(|known| **known == name);
            if let Some(known) = known
                && !value.trim().is_empty()
                && pairs.iter().all(|(there, _)| there != known)
            {
                // No text of a database has NUL in it; PostgreSQL refuses to look for it.
                let value = value.replace('\0', "").chars().take(LONGEST).collect();
                pairs.push((known, value));
            }
        }
        Query {
            path: path.into(),
            pairs,
            page,
        }
    }

    /// A value, or empty.
    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs
            .iter()
            .find(|(there, _)| *there == name)
            .map_or("", |(_, value)| value)
    }

    /// A value, when there is one.
    pub(super) fn some(&self, name: &str) -> Option<String> {
        Some(self.get(name))
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    /// Which page.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        // Far beyond any list; the offset of a larger one would not fit.
        Page::new(self.page.min(10_000_000), SIZE)
    }

    /// The order: a name of `known` and which way, or the first of `known`, as it is given there (`-updated` is downwards).
    pub(super) fn sort(&self, known: &[&'static str]) -> (&'static str, Direction) {
        let given = self.get("sort");
        let bare = |text: &str| text.trim_start_matches('-').to_owned();
        let name = known.iter().find(|name| bare(name) == bare(given));
        match name {
            Some(name) => (name.trim_start_matches('-'), direction(given)),
            None => known.first().map_or(("", Direction::Ascending), |first| {
                (first.trim_start_matches('-'), direction(first))
            }),
        }
    }

    /// The address of another page of the list.
    pub(super) fn at_page(&self, page: u64) -> String {
        let mut pairs = self.pairs.clone();
        if page > 1 {
            pairs.push(("page", page.to_string()));
        }
        self.address(&pairs)
    }

    /// The address of the list with another value, on its first page. An empty value takes it away.
    pub(super) fn with(&self, name: &'static str, value: &str) -> String {
        let mut pairs = self.pairs.clone();
        pairs.retain(|(there, _)| *there != name);
        if !value.is_empty() {
            pairs.push((name, value.to_owned()));
        }
        self.address(&pairs)
    }

    /// Whether anything but the order is given.
    pub(super) fn filtered(&self) -> bool {
        self.pairs.iter().any(|(name, _)| *name != "sort")
    }

    /// Without anything.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn address(&self, pairs: &[(&'static str, String)]) -> String {
        if pairs.is_empty() {
            return self.path.clone();
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        format!("{}?{query}", self.path)
    }
}

fn direction(text: &str) -> Direction {
    if text.starts_with('-') {
        Direction::Descending
    } else {
        Direction::Ascending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> Query {
        Query::read("/list", Some(raw), &["q", "source", "sort"])
    }

    #[test]
    fn filters_stay_in_the_addresses_of_pages() {
        let given = query("q=a%26b&source=%3Cx%3E&evil=1&page=3&sort=-name");
        assert_eq!(
            given.at_page(4),
            "/list?q=a%26b&source=%3Cx%3E&sort=-name&page=4"
        );
        assert_eq!(given.with("q", ""), "/list?source=%3Cx%3E&sort=-name");
        assert_eq!(given.at_page(1), "/list?q=a%26b&source=%3Cx%3E&sort=-name");
        assert!(given.filtered() && !query("sort=name").filtered());
    }

    #[test]
    fn what_is_no_page_is_the_first_and_what_is_no_order_the_usual() {
        for raw in [
            "page=0",
            "page=-1",
            "page=x",
            "page=99999999999999999999",
            "",
        ] {
            assert_eq!(query(raw).page().unwrap().number(), 1, "{raw}");
        }
        let known = ["-updated", "name"];
        assert_eq!(
            query("sort=evil").sort(&known),
            ("updated", Direction::Descending)
        );
        assert_eq!(
            query("sort=updated").sort(&known),
            ("updated", Direction::Ascending)
        );
        assert_eq!(
            query("sort=-name").sort(&known),
            ("name", Direction::Descending)
        );
    }
}
