//! Pages of lists: `pageNumber` from 1, `pageSize`, and `pageInfo` in what comes back.
//!
//! In: parameters, and a [`PageOf`] of the core. Out: a bounded page. Never a list without an end.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::query::Pairs;
use crate::store::{Direction, Page, PageOf};

/// The parameters every list has.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(super) struct Paging {
    /// Which page, from 1. A page after the last one is empty.
    #[param(rename = "pageNumber", value_type = u64, minimum = 1, maximum = 4_294_967_295_u64, default = 1, example = 1, required = false)]
    page_number: u32,
    /// How many entries to a page.
    #[param(rename = "pageSize", value_type = u64, minimum = 1, maximum = 200, default = 50, example = 50, required = false)]
    page_size: u32,
}

/// How much there is in all.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    /// Entries on all pages.
    #[schema(example = 137)]
    total_count: u64,
    /// Pages of this size.
    #[schema(example = 3)]
    total_pages: u64,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOf<T> {
    /// What is on this page, in the order asked for.
    items: Vec<T>,
    page_info: PageInfo,
}

impl<T> ListOf<T> {
    /// A page of the core, written as `T`.
    pub(super) fn from_page<U: Into<T>>(page: PageOf<U>) -> ListOf<T> {
        let page_info = PageInfo {
            total_count: page.total,
            total_pages: page.pages(),
        };
        ListOf {
            items: page.items.into_iter().map(Into::into).collect(),
            page_info,
        }
    }
}

/// A page of a list that is short enough to be made as a whole.
pub(super) fn page_of<T>(mut all: Vec<T>, direction: Direction, page: Page) -> PageOf<T> {
    if direction == Direction::Descending {
        all.reverse();
    }
    let total = all.len() as u64;
    let size = page.size() as usize;
    let skip = (page.number() as usize - 1).saturating_mul(size);
    PageOf {
        items: all.into_iter().skip(skip).take(size).collect(),
        total,
        page,
    }
}

/// Takes the page out of the parameters.
pub(super) fn page(pairs: &mut Pairs) -> Result<Page, Problem> {
    let mut number = |name: &str, default: u32| match pairs.take(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            let text: String = text.chars().take(80).collect();
            Problem::parameter(name, format!("`{text}` is not a whole number from 1"))
        }),
    };
    let standard = Page::default();
    let (at, size) = (
        number("pageNumber", standard.number())?,
        number("pageSize", standard.size())?,
    );
    Page::new(at, size).map_err(|refusal| match refusal {
        crate::Refusal::Invalid { field, message } => Problem::parameter(field, message),
        other => other.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<(u32, u32), &str>) {
        let mut pairs = Pairs::parse(Some(query)).unwrap();
        match (page(&mut pairs), expected) {
            (Ok(page), Ok(expected)) => assert_eq!((page.number(), page.size()), expected),
            (Err(problem), Err(field)) => {
                let document = problem.into_document("c", true);
                assert_eq!(
                    (document.status, document.field.as_deref()),
                    (400, Some(field))
                );
            }
            (page, _) => panic!("{query}: {page:?}"),
        }
    }

    #[test]
    fn pages_are_bounded() {
        check("", Ok((1, 50)));
        check("pageNumber=7&pageSize=200", Ok((7, 200)));
        check("pageNumber=4294967295", Ok((4_294_967_295, 50)));
        check("pageNumber=0", Err("pageNumber"));
        check("pageNumber=-1", Err("pageNumber"));
        check("pageNumber=1e3", Err("pageNumber"));
        check("pageNumber=4294967296", Err("pageNumber"));
        check("pageSize=0", Err("pageSize"));
        check("pageSize=201", Err("pageSize"));
        check("pageSize=", Err("pageSize"));
    }
}
