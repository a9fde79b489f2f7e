//! What parameters and headers are for, in words.
//!
//! In: a name and the type of its values. Out: a description, where the name has one meaning wherever it is used and the type
//! bears it out. It knows nothing of the API at hand, so more traffic does not change what it says.

use crate::headers::{paging, rate_limit};

/// The type of a parameter's values as the document has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Integer,
    Number,
    Boolean,
    /// Texts that are dates or times.
    Time,
    Text,
    Array,
    Object,
}

/// A name without case and joints: `pageSize`, `page_size`, `page[size]` and `page-size` are one.
fn squeezed(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// What a query parameter is for.
pub(crate) fn query(name: &str, kind: Type) -> Option<&'static str> {
    use Type::{Array, Boolean, Integer, Number, Object, Text, Time};
    Some(match (squeezed(name).as_str(), kind) {
        (
            "limit" | "perpage" | "pagesize" | "pagelimit" | "maxresults" | "maxitems" | "max"
            | "top" | "take" | "rows" | "first" | "last" | "count" | "itemsperpage"
            | "resultsperpage" | "pagecount" | "size",
            Integer,
        ) => "Pagination: the most entries to return.",
        (
            "page" | "pagenumber" | "pageno" | "pagenum" | "pageindex" | "currentpage" | "p",
            Integer,
        ) => "Pagination: the number of the page to return.",
        (
            "offset" | "skip" | "start" | "startindex" | "startat" | "startfrom" | "pageoffset"
            | "from",
            Integer,
        ) => "Pagination: how many entries to pass over.",
        (
            "cursor" | "pagecursor" | "nextcursor" | "pagetoken" | "nextpagetoken" | "nexttoken"
            | "continuation" | "continuationtoken" | "continue" | "marker" | "startingafter"
            | "endingbefore" | "scrollid" | "pageafter" | "pagebefore" | "aftercursor"
            | "beforecursor" | "sinceid" | "maxid" | "minid",
            Integer | Text,
        )
        | ("after" | "before", Text) => "Pagination: where to go on, as an earlier answer said.",
        ("page", Object) => "Pagination: which page to return.",
        (
            "sort" | "sortby" | "orderby" | "ordering" | "sortfield" | "sortkey" | "sortcolumn"
            | "ordercolumn",
            Text | Array | Object,
        ) => "Sorting: what to order entries by.",
        (
            "order" | "direction" | "sortorder" | "sortdir" | "sortdirection" | "orderdirection"
            | "orderdir" | "dir",
            Text,
        ) => "Sorting: which way to order entries.",
        ("desc" | "descending" | "asc" | "ascending" | "reverse", Boolean) => {
            "Sorting: which way to order entries."
        }
        ("filter" | "filters" | "where" | "criteria" | "conditions", _) => {
            "Filter: which entries to return."
        }
        ("fields" | "select" | "properties" | "columns" | "fieldmask" | "attributes", _) => {
            "Selection: which members to return."
        }
        ("exclude" | "excludefields" | "omit", Text | Array) => {
            "Selection: what to leave out of the answer."
        }
        (
            "expand" | "include" | "includes" | "embed" | "populate" | "with" | "expansions",
            Text | Array,
        ) => "Expansion: related entries to return along.",
        (
            "q" | "query" | "search" | "searchterm" | "searchterms" | "searchtext" | "searchstring"
            | "searchquery" | "keyword" | "keywords" | "term" | "terms",
            Text | Integer | Number | Array,
        ) => "Search: what to look for.",
        (
            "since" | "from" | "after" | "startdate" | "starttime" | "datefrom" | "fromdate"
            | "start" | "startdatetime" | "mindate" | "createdafter" | "updatedafter"
            | "modifiedsince" | "updatedsince" | "begin" | "startat",
            Time,
        ) => "Filter: nothing from before this time.",
        (
            "until" | "to" | "before" | "enddate" | "endtime" | "dateto" | "todate" | "end"
            | "enddatetime" | "maxdate" | "createdbefore" | "updatedbefore" | "endat",
            Time,
        ) => "Filter: nothing from after this time.",
        ("ids", Array | Text | Integer) => "Filter: the entries to return, by their ids.",
        ("status" | "state" | "type" | "category" | "tag" | "tags", Text | Array) => {
            "Filter: only entries of this kind."
        }
        ("format" | "output" | "outputformat" | "responseformat", Text) => {
            "The format of the answer."
        }
        ("lang" | "language" | "locale", Text) => "The language of the answer.",
        ("tz" | "timezone", Text) => "The time zone of times.",
        ("pretty" | "prettyprint", _) => "Whether to indent the answer for people.",
        ("callback" | "jsonp", Text) => "The function to wrap the answer in (JSONP).",
        ("dryrun" | "validateonly", Boolean) => "Whether to only check the request.",
        ("lat" | "latitude", Number | Integer) => "Latitude, degrees.",
        ("lng" | "lon" | "long" | "longitude", Number | Integer) => "Longitude, degrees.",
        _ => return None,
    })
}

/// What a request header is for.
pub(crate) fn request_header(name: &str) -> Option<&'static str> {
    Some(match name {
        "idempotency-key" | "x-idempotency-key" => {
            "A key of the client's choice; a call that is sent again with it takes effect once."
        }
        "if-match" => "Only if the resource still has one of these entity tags (RFC 9110, 13.1.1).",
        "if-none-match" => "Only if the resource has none of these entity tags (RFC 9110, 13.1.2).",
        "if-modified-since" => "Only if the resource changed after this time (RFC 9110, 13.1.3).",
        "if-unmodified-since" => {
            "Only if the resource did not change after this time (RFC 9110, 13.1.4)."
        }
        "if-range" => "The range only if the resource did not change (RFC 9110, 13.1.5).",
        "range" => "The part of the resource to return (RFC 9110, 14.2).",
        "accept-language" => "The languages the client prefers (RFC 9110, 12.5.4).",
        "content-language" => "The language of the body (RFC 9110, 8.5).",
        "content-range" => "Which part of the resource the body is (RFC 9110, 14.4).",
        "content-md5" | "content-digest" | "repr-digest" | "digest" => "A checksum of the body.",
        "content-disposition" => "How to present the body, and its file name (RFC 6266).",
        "prefer" => "What the client would rather have (RFC 7240).",
        "x-http-method-override" | "x-http-method" | "x-method-override" => {
            "The method that is meant, where only POST gets through."
        }
        "api-version" | "x-api-version" | "accept-version" => "The version of the API to use.",
        "last-event-id" => "Where to go on with an event stream (HTML, 9.2).",
        "depth" => "How deep below the resource to go (RFC 4918, 10.2).",
        _ => return None,
    })
}

/// What a response header says.
pub(crate) fn response_header(name: &str) -> Option<&'static str> {
    if let Some(what) = rate_limit(name) {
        return Some(if what.starts_with("limit") {
            "How many calls are allowed in the current window."
        } else if what.starts_with("remaining") {
            "How many calls are left in the current window."
        } else if what.starts_with("reset") {
            "When the current window ends."
        } else if what.starts_with("used") {
            "How many calls were made in the current window."
        } else {
            "The rate limit that applies."
        });
    }
    if let Some(what) = paging(name) {
        return Some(match what {
            "total" | "total-count" | "total-results" | "totalresults" | "count" => {
                "How many entries there are in all."
            }
            "total-pages" | "pages" | "page-count" => "How many pages there are.",
            "page" | "current-page" => "The number of this page.",
            "per-page" | "perpage" | "page-size" | "limit" => "The most entries of a page.",
            "next" | "next-page" | "next-cursor" | "next-token" | "cursor" => {
                "Where the next page begins."
            }
            "prev-page" | "previous-page" => "Where the page before begins.",
            "has-more" => "Whether another page follows.",
            _ => "Where this page lies among all.",
        });
    }
    Some(match name {
        "location" => "Where the resource is (RFC 9110, 10.2.2).",
        "content-location" => "Where exactly this answer is (RFC 9110, 8.7).",
        "operation-location" => "Where to ask how the operation goes on.",
        "retry-after" => "When to try again: seconds, or a date (RFC 9110, 10.2.3).",
        "link" => "Related resources, such as the next page (RFC 8288).",
        "etag" => "The version of the resource, for conditional requests (RFC 9110, 8.8.3).",
        "last-modified" => "When the resource changed last (RFC 9110, 8.8.2).",
        "deprecation" => "Since when, or from when on, the resource is deprecated (RFC 9745).",
        "sunset" => "When the resource is expected to go away (RFC 8594).",
        "www-authenticate" => "How to authenticate (RFC 9110, 11.6.1).",
        "content-disposition" => "How to present the body, and its file name (RFC 6266).",
        "content-language" => "The language of the body (RFC 9110, 8.5).",
        "content-range" => "Which part of the resource the body is (RFC 9110, 14.4).",
        "accept-ranges" => "Which units parts can be asked for in (RFC 9110, 14.3).",
        "allow" => "The methods the resource has (RFC 9110, 10.2.1).",
        "preference-applied" => "Which of the client's preferences were honoured (RFC 7240).",
        "ratelimit" | "ratelimit-policy" => "The rate limit that applies.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, kind: Type, expected: Option<&str>) {
        let got = query(name, kind).map(|d| d.split(':').next().unwrap_or(""));
        assert_eq!(got, expected, "{name} {kind:?}");
    }

    #[test]
    fn query_parameters_are_named_as_what_they_are() {
        for name in [
            "limit",
            "per_page",
            "pageSize",
            "page[size]",
            "$top",
            "maxResults",
        ] {
            check(name, Type::Integer, Some("Pagination"));
            check(name, Type::Boolean, None);
        }
        check("page_token", Type::Text, Some("Pagination"));
        check("sort_by", Type::Text, Some("Sorting"));
        check("$orderby", Type::Array, Some("Sorting"));
        check("filter", Type::Object, Some("Filter"));
        check("from", Type::Time, Some("Filter"));
        check("from", Type::Integer, Some("Pagination"));
        check("from", Type::Text, None);
        check("$expand", Type::Text, Some("Expansion"));
        check("fields", Type::Array, Some("Selection"));
        check("q", Type::Text, Some("Search"));
        check("colour", Type::Text, None);
    }

    #[test]
    fn every_response_header_of_a_document_is_described() {
        for name in [
            "location",
            "retry-after",
            "link",
            "etag",
            "sunset",
            "x-ratelimit-limit",
            "ratelimit-reset",
            "x-total-count",
            "x-pagination-start",
            "x-next-page",
            "ratelimit",
            "x-pagination",
        ] {
            assert!(crate::headers::is_response_header(name), "{name}");
            assert!(response_header(name).is_some(), "{name}");
        }
    }
}
