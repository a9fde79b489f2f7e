//! A list as it was asked for: what every page with filters, headings that sort and pages has in common.
//!
//! In: the query of a request, the names the list knows, what was found. Out: values to ask the core with, and the parts of the
//! page around the rows.

use axum::response::Response;

use crate::store::{Direction, Page, PageOf};
use crate::web::answer::refused;
use crate::web::query::Query;
use crate::web::views::filter_form::{FilterForm, Select};
use crate::web::views::{Choice, Empty, Heading, Pager};

/// A column: what it is called, what it is sorted by (or empty), the class of its cells.
pub(super) type Column = (&'static str, &'static str, &'static str);

/// What was asked of a list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) query: Query,
    /// What it is sorted by, and which way.
    pub(super) sorted: (&'static str, Direction),
}

impl List {
    /// The list at `path` that knows these filters and orders (`-updated` begins downwards; the first is the usual one).
    pub(super) fn read(
        path: impl Into<String>,
        raw: Option<&str>,
        filters: &[&'static str],
        orders: &[&'static str],
    ) -> List {
        let mut names = filters.to_vec();
        if !orders.is_empty() {
            names.push("sort");
        }
        let query = Query::read(path, raw, &names);
        let sorted = query.sort(orders);
        List { query, sorted }
    }

    /// The value of a filter, or empty.
    pub(super) fn get(&self, name: &str) -> &str {
        self.query.get(name)
    }

    /// The value of a filter, when there is one.
    pub(super) fn some(&self, name: &str) -> Option<String> {
        self.query.some(name)
    }

    /// Which page of it.
    pub(super) fn page(&self) -> Result<Page, Response> {
        self.query.page().map_err(refused)
    }

    /// Which page of it, of so many rows.
    pub(super) fn page_of(&self, size: u32) -> Result<Page, Response> {
        Page::new(self.page()?.number(), size).map_err(refused)
    }

    /// A filter with its choices, values and titles.
    pub(super) fn select(
        &self,
        name: &'static str,
        label: &'static str,
        choices: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Select {
        let here = self.get(name);
        Select {
            name,
            label,
            choices: choices
                .into_iter()
                .map(|(value, title)| Choice::new(value, title, here))
                .collect(),
        }
    }

    /// The form with all filters; the order stays as it is.
    pub(super) fn filters(&self, search_label: &'static str, selects: Vec<Select>) -> FilterForm {
        FilterForm {
            action: self.query.path().to_owned(),
            search_label,
            text: self.get("q").to_owned(),
            selects,
            kept: self
                .some("sort")
                .map(|sort| ("sort", sort))
                .into_iter()
                .collect(),
            any: self.query.filtered(),
            ..FilterForm::default()
        }
    }

    /// Headings that sort, in the order of the columns.
    pub(super) fn headings(&self, columns: &[Column]) -> Vec<Heading> {
        // What is sorted by names begins at A, what is sorted by numbers and times at the most and the latest.
        const TEXTS: &[&str] = &["name", "url", "email", "target", "path", "tool", "kind"];
        columns
            .iter()
            .map(|(label, key, class)| {
                let here = !key.is_empty() && *key == self.sorted.0;
                let way = match (here, self.sorted.1) {
                    (false, _) => "",
                    (true, Direction::Ascending) => "ascending",
                    (true, Direction::Descending) => "descending",
                };
                let next = match way {
                    "ascending" => format!("-{key}"),
                    "descending" => (*key).to_owned(),
                    _ if TEXTS.contains(key) => (*key).to_owned(),
                    _ => format!("-{key}"),
                };
                Heading {
                    label,
                    class,
                    href: if key.is_empty() {
                        String::new()
                    } else {
                        self.query.with("sort", &next)
                    },
                    sorted: way,
                }
            })
            .collect()
    }

    /// Links to its pages.
    pub(super) fn pager<T>(&self, found: &PageOf<T>) -> Pager {
        self.pager_of(found.page, found.total)
    }

    /// Links to its pages, where only the number of rows is known.
    pub(super) fn pager_of(&self, page: Page, total: u64) -> Pager {
        Pager::new(
            u64::from(page.number()),
            u64::from(page.size()),
            total,
            |number| self.query.at_page(number),
        )
    }

    /// What is said where nothing is shown: that no `what` fits the filters, or what `otherwise` says.
    pub(super) fn empty(&self, none_fits: &'static str, otherwise: Empty) -> Empty {
        if !self.query.filtered() {
            return otherwise;
        }
        let all = (self.query.path(), "Show all");
        Empty::new("search", none_fits, "Fewer filters show more.", &[all])
    }
}
