//! What handlers of lists and forms have in common: headings that sort, pages, fields that were refused.

use super::super::answer::blamed;
use super::super::query::Query;
use super::super::views::{Field, Heading, Pager};
use crate::Refusal;
use crate::store::{Direction, PageOf};

/// A column: what it is called, what it is sorted by (or empty), the class of its cells.
pub(super) type Column = (&'static str, &'static str, &'static str);

/// Headings of a list in the order `sorted`.
pub(super) fn headings(
    query: &Query,
    sorted: (&str, Direction),
    columns: &[Column],
) -> Vec<Heading> {
    columns
        .iter()
        .map(|(label, key, class)| {
            let here = !key.is_empty() && *key == sorted.0;
            let way = match (here, sorted.1) {
                (false, _) => "",
                (true, Direction::Ascending) => "ascending",
                (true, Direction::Descending) => "descending",
            };
            // What is sorted by names begins at A, what is sorted by numbers and times at the most and the latest.
            let texts = ["name", "url", "email", "target", "path", "tool", "kind"];
            let next = match way {
                "ascending" => format!("-{key}"),
                "descending" => (*key).to_owned(),
                _ if texts.contains(key) => (*key).to_owned(),
                _ => format!("-{key}"),
            };
            Heading {
                label,
                class,
                href: if key.is_empty() {
                    String::new()
                } else {
                    query.with("sort", &next)
                },
                sorted: way,
            }
        })
        .collect()
}

/// Links to the pages of a list.
pub(super) fn pager<T>(query: &Query, page: &PageOf<T>) -> Pager {
    Pager::new(
        u64::from(page.page.number()),
        u64::from(page.page.size()),
        page.total,
        |number| query.at_page(number),
    )
}

/// Puts a refusal beside the field it blames; what no field is to blame for is returned.
pub(super) fn blame(refusal: &Refusal, fields: &mut [(&[&str], &mut Field)]) -> String {
    let (name, message) = blamed(refusal);
    for (names, field) in fields {
        if names.contains(&name) {
            field.error = message;
            return String::new();
        }
    }
    message
}

/// `50 MiB`.
pub(super) fn bytes(size: u64) -> String {
    match size {
        size if size >= 1 << 20 => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 => format!("{} KiB", size >> 10),
        size => format!("{size} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(50 << 20), "50 MiB");
        assert_eq!(bytes(2_048), "2 KiB");
        assert_eq!(bytes(12), "12 bytes");
    }
}
