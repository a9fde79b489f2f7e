//! What is said of responses.
//!
//! In: statuses and headers. Out: descriptions, and whether the server itself says that an operation is on its way out.

use crate::evidence::Evidence;

/// Whether at least half of the successful responses carry `Deprecation` (RFC 9745) or `Sunset` (RFC 8594).
pub(crate) fn is_deprecated(good: &Evidence) -> bool {
    let (mut all, mut marked) = (0, 0);
    for (_, response) in good.responses.iter() {
        all += response.count;
        marked += response
            .headers
            .iter()
            .filter(|(name, _)| matches!(*name, "deprecation" | "sunset"))
            .map(|(_, p)| p.calls)
            .max()
            .unwrap_or(0);
    }
    marked * 2 >= all.max(1)
}

/// The reason phrase of RFC 9110, 15, and of the registry.
pub(crate) fn reason(status: &str) -> &'static str {
    match status {
        "101" => "Switching Protocols",
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        "203" => "Non-Authoritative Information",
        "204" => "No Content",
        "205" => "Reset Content",
        "206" => "Partial Content",
        "207" => "Multi-Status",
        "301" => "Moved Permanently",
        "302" => "Found",
        "303" => "See Other",
        "304" => "Not Modified",
        "307" => "Temporary Redirect",
        "308" => "Permanent Redirect",
        "400" => "Bad Request",
        "401" => "Unauthorized",
        "402" => "Payment Required",
        "403" => "Forbidden",
        "404" => "Not Found",
        "405" => "Method Not Allowed",
        "406" => "Not Acceptable",
        "408" => "Request Timeout",
        "409" => "Conflict",
        "410" => "Gone",
        "411" => "Length Required",
        "412" => "Precondition Failed",
        "413" => "Content Too Large",
        "414" => "URI Too Long",
        "415" => "Unsupported Media Type",
        "416" => "Range Not Satisfiable",
        "418" => "I'm a teapot",
        "422" => "Unprocessable Content",
        "423" => "Locked",
        "424" => "Failed Dependency",
        "425" => "Too Early",
        "426" => "Upgrade Required",
        "428" => "Precondition Required",
        "429" => "Too Many Requests",
        "431" => "Request Header Fields Too Large",
        "451" => "Unavailable For Legal Reasons",
        "500" => "Internal Server Error",
        "501" => "Not Implemented",
        "502" => "Bad Gateway",
        "503" => "Service Unavailable",
        "504" => "Gateway Timeout",
        s if s.starts_with('1') => "Informational",
        s if s.starts_with('2') => "Success",
        s if s.starts_with('3') => "Redirection",
        s if s.starts_with('4') => "Client Error",
        _ => "Server Error",
    }
}
