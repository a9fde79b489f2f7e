//! Where an API is: the URLs of its servers, and the base paths in them.
//!
//! In: `servers` of a document, a path item or an operation, or Swagger 2.0's `host`, `basePath` and `schemes`. Out: URLs with their
//! variables filled in, up to a bound, and what stands before every path.

use crate::description::Version;
use crate::read::{At, Reader};
use crate::tree::{Node, Value};

/// Values of a server's variable that are tried.
const MAX_VALUES: usize = 16;
/// Base paths of one operation.
const MAX_BASES: usize = 32;

/// The URLs of the document's own servers.
pub(crate) fn servers(reader: &Reader<'_>) -> Vec<String> {
    let root = reader.root();
    if reader.version != Version::Swagger20 {
        let list = root.get("servers");
        return list
            .iter()
            .flat_map(At::items)
            .flat_map(|server| urls(&server))
            .collect();
    }
    let base = root.text("basePath").unwrap_or_default();
    let Some(host) = root.text("host").filter(|host| !host.is_empty()) else {
        return vec![base.to_owned()];
    };
    let schemes: Vec<&str> = root
        .get("schemes")
        .iter()
        .flat_map(At::items)
        .filter_map(|scheme| scheme.node.str())
        .collect();
    let schemes = if schemes.is_empty() {
        vec!["https"]
    } else {
        schemes
    };
    schemes
        .iter()
        .map(|scheme| format!("{scheme}://{host}{base}"))
        .collect()
}

/// The URLs a server object stands for, variables replaced by their values.
pub(crate) fn urls(server: &At<'_>) -> Vec<String> {
    let Some(url) = server.text("url") else {
        return Vec::new();
    };
    let mut all = vec![url.to_owned()];
    let variables = server.get("variables");
    for (name, variable) in variables.iter().flat_map(At::members) {
        let marker = format!("{{{name}}}");
        if !url.contains(&marker) {
            continue;
        }
        let text = |node: &Node| match &node.value {
            Value::String(text) | Value::Number(text) => Some(text.to_string()),
            _ => None,
        };
        let mut values: Vec<String> = variable
            .node
            .get("default")
            .and_then(text)
            .into_iter()
            .collect();
        let listed = variable.get("enum");
        for value in listed
            .iter()
            .flat_map(At::items)
            .filter_map(|item| text(item.node))
        {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.truncate(MAX_VALUES);
        if !values.is_empty() {
            all = all
                .iter()
                .flat_map(|url| values.iter().map(|value| url.replace(&marker, value)))
                .take(MAX_BASES)
                .collect();
        }
    }
    all
}

/// The base paths of URLs, each once, without a slash at the end.
pub(crate) fn bases(urls: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for url in urls {
        let after_host = match url.split_once("://") {
            Some((_, rest)) => rest
                .find('/')
                .and_then(|at| rest.get(at..))
                .unwrap_or_default(),
            None => url.strip_prefix("//").map_or(url.as_str(), |rest| {
                rest.find('/')
                    .and_then(|at| rest.get(at..))
                    .unwrap_or_default()
            }),
        };
        let path = after_host.split(['?', '#']).next().unwrap_or_default();
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() || path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        if !out.contains(&path) && out.len() < MAX_BASES {
            out.push(path);
        }
    }
    if out.is_empty() {
        out.push(String::new());
    }
    out
}
