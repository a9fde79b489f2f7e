//! The base path of a document: the words before every path that say where the API is and not what it has.
//!
//! In: the paths of all operations. Out: what goes to `servers`, or nothing. It is decided by the words alone, so more
//! traffic of the same kind never changes it; an operation elsewhere (`/health` beside `/api/v1/users`) is traffic of
//! another kind, and then all paths are written whole.

use crate::class;
use crate::part::Part;

/// Words that name no collection, in small letters and without joints. Of the published descriptions with a base path
/// nine in ten have one of them or a version in it and next to nothing else; what else there is (`accounts`, `media`) is
/// a collection in the paths of others.
const NAMELESS: [&str; 9] = [
    "api", "apis", "rest", "restapi", "apirest", "restv", "apiv", "webapi", "ws",
];

/// More are hardly ever published, and a path made of nothing else says more when it is whole.
const MOST: usize = 3;

/// What all paths begin with: `/api/v1`, or empty.
pub(super) fn base<'a>(mut paths: impl Iterator<Item = &'a [Part]>) -> String {
    let run = paths.next().map_or_else(Vec::new, of);
    if paths.any(|path| of(path) != run) {
        return String::new();
    }
    run.iter().flat_map(|word| ["/", word]).collect()
}

/// The words in front of a path that name nothing in it; never all of it.
fn of(path: &[Part]) -> Vec<&str> {
    let before = path.len().saturating_sub(1).min(MOST);
    path.iter()
        .take(before)
        .map_while(|part| part.constant().filter(|word| is_nameless(word)))
        .collect()
}

fn is_nameless(word: &str) -> bool {
    let mut bare: String = word
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.'))
        .collect();
    bare.make_ascii_lowercase();
    let stem = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    class::is_version(word)
        || (!word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit()))
        || NAMELESS.contains(&stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(segment: &str) -> Part {
        if segment.contains('{') {
            Part::of_pattern(segment)
        } else {
            Part::Constant(segment.into())
        }
    }

    fn check(paths: &[&str], expected: &str) {
        let paths: Vec<Vec<Part>> = paths
            .iter()
            .map(|path| {
                let segments = path.split('/').skip(1);
                segments.map(part).collect()
            })
            .collect();
        assert_eq!(base(paths.iter().map(Vec::as_slice)), expected);
    }

    #[test]
    fn words_that_name_nothing_are_the_address() {
        check(&["/api/v1/users", "/api/v1/users/{i}"], "/api/v1");
        check(&["/v2.0/me"], "/v2.0");
        check(
            &["/REST-API/1/cards", "/REST-API/1/boards/{w}"],
            "/REST-API/1",
        );
        check(&["/api-v2/cards"], "/api-v2");
        check(&["/rest/api/3/v1/issues"], "/rest/api/3");
    }

    #[test]
    fn all_paths_have_it_or_none() {
        check(&["/api/v1/users", "/health"], "");
        check(&["/api/v1/users", "/api/v2/users"], "");
        check(&["/api/users", "/api"], "");
        check(&[], "");
    }

    #[test]
    fn what_may_name_something_stays() {
        check(&["/shop/v1/users"], "");
        check(&["/services/{i}", "/services/{i}/state"], "");
        check(&["/2024/races", "/2024/drivers"], "");
        check(&["/{i}/users"], "");
        check(&["//v1/users"], "");
    }
}
