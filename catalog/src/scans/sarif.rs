//! Reading SARIF 2.1.0 (OASIS), as many scanners write it.
//!
//! In: the text of a report. Out: its results, each with tool, rule, severity and where it was found. Reading is tolerant: what a
//! tool leaves out is made up for or left empty, what is malformed is left out and counted. It is bounded in size, results and
//! the length of every text. It never follows a reference out of the report.

use std::collections::HashMap;

use serde_json::Value;

use super::Severity;
use crate::{Millis, Refusal};

/// The largest report that is taken: 64 MiB.
pub const MAX_BYTES: u64 = 64 << 20;
/// Results of one report; one with more is refused rather than taken in part.
const MAX_RESULTS: usize = 50_000;
/// Locations of a result that are looked at.
const MAX_LOCATIONS: usize = 32;

/// What a report says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    /// One for each run: one tool, one time.
    pub(super) runs: Vec<Run>,
}

/// One run of one tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) tool: String,
    pub(super) tool_version: String,
    /// When it ended, or began.
    pub(super) at: Option<Millis>,
    pub(super) results: Vec<Reported>,
    /// URLs the tool says it looked at (`artifacts`, `webRequests`): APIs it covered without finding anything.
    pub(super) covered: Vec<String>,
    /// Results that are no objects, or were suppressed or passed.
    pub(super) left_out: usize,
}

/// One result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reported {
    pub(super) rule: String,
    pub(super) rule_name: String,
    pub(super) message: String,
    pub(super) severity: Severity,
    /// From `fingerprints` or `partialFingerprints`, or empty.
    pub(super) fingerprint: String,
    /// From `webRequest.method` and the like; upper case, or empty.
    pub(super) method: String,
    /// What may say where it was found, the best first: URLs, paths, `GET /books`.
    pub(super) places: Vec<String>,
}

/// Reads a report.
///
/// # Errors
/// [`Refusal::TooLarge`]; [`Refusal::Invalid`] on `report` for what is no SARIF 2.1.0, saying what it is.
pub(super) fn read(text: &[u8]) -> Result<Report, Refusal> {
    let size = text.len() as u64;
    if size > MAX_BYTES {
        return Err(Refusal::TooLarge {
            what: "the report",
            size,
            limit: MAX_BYTES,
        });
    }
    let wrong = |message: String| Refusal::invalid("report", message);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let report: Value = serde_json::from_slice(text).map_err(|error| {
        wrong(format!(
            "it is not JSON: {error}; want a report in SARIF 2.1.0"
        ))
    })?;
    let version = report.get("version").and_then(Value::as_str);
    match version {
        Some("2.1.0") => {}
        Some(other) if report.get("runs").is_some() => {
            return Err(wrong(format!(
                "it is SARIF {}, which is not read; want 2.1.0 (the SARIF SDK's `sarif transform` converts older ones)",
                cut(other, 40)
            )));
        }
        _ => {
            return Err(wrong(
                "it is no SARIF report; want an object with `\"version\": \"2.1.0\"` and `runs`"
                    .to_owned(),
            ));
        }
    }
    let Some(runs) = report.get("runs").and_then(Value::as_array) else {
        return Err(wrong("it has no `runs`; want an array of them".to_owned()));
    };
    let results: usize = runs
        .iter()
        .filter_map(|run| run.get("results")?.as_array())
        .map(Vec::len)
        .sum();
    if results > MAX_RESULTS {
        return Err(wrong(format!(
            "it has {results} results; at most {MAX_RESULTS} are taken, so split it by run or by API"
        )));
    }
    Ok(Report {
        runs: runs.iter().filter(|run| run.is_object()).map(run).collect(),
    })
}

fn run(run: &Value) -> Run {
    let driver = &run["tool"]["driver"];
    let mut out = Run {
        tool: cut(driver["name"].as_str().unwrap_or("unknown tool"), 100),
        tool_version: ["semanticVersion", "version"]
            .iter()
            .find_map(|name| driver[name].as_str())
            .map_or_else(String::new, |version| cut(version, 100)),
        at: run["invocations"].as_array().and_then(|all| {
            let times = all
                .iter()
                .flat_map(|one| [&one["endTimeUtc"], &one["startTimeUtc"]]);
            times.filter_map(|at| Millis::parse(at.as_str()?)).max()
        }),
        results: Vec::new(),
        covered: Vec::new(),
        left_out: 0,
    };
    let rules = Rules::of(run);
    let bases = &run["originalUriBaseIds"];
    for artifact in run["artifacts"].as_array().into_iter().flatten() {
        if let Some(url) = location(&artifact["location"], run, bases) {
            out.covered.push(url);
        }
    }
    for request in run["webRequests"].as_array().into_iter().flatten() {
        out.covered.extend(web_target(request));
    }
    out.covered.dedup();
    out.covered.truncate(10_000);
    for result in run["results"].as_array().into_iter().flatten() {
        // SARIF 3.27.9: only what fails, or is open, is a finding; 3.27.23: what was suppressed is none.
        let kind = result["kind"].as_str().unwrap_or("fail");
        let suppressed = result["suppressions"].as_array().is_some_and(|all| {
            !all.is_empty()
                && all
                    .iter()
                    .all(|one| matches!(one["status"].as_str(), None | Some("accepted")))
        });
        let absent = result["baselineState"] == "absent";
        if !result.is_object()
            || suppressed
            || absent
            || !matches!(kind, "fail" | "open" | "review" | "informational")
        {
            out.left_out += 1;
            continue;
        }
        out.results.push(reported(result, kind, run, &rules, bases));
    }
    out
}

/// Rules of the driver and its extensions, by id and by index.
struct Rules<'a> {
    by_id: HashMap<&'a str, &'a Value>,
    driver: &'a [Value],
    extensions: Vec<&'a [Value]>,
}

impl<'a> Rules<'a> {
    fn of(run: &'a Value) -> Rules<'a> {
        let list =
            |component: &'a Value| component["rules"].as_array().map_or(&[][..], Vec::as_slice);
        let driver = list(&run["tool"]["driver"]);
        let extensions: Vec<&[Value]> = run["tool"]["extensions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(list)
            .collect();
        let mut by_id = HashMap::new();
        for rule in extensions.iter().copied().flatten().chain(driver) {
            if let Some(id) = rule["id"].as_str() {
                by_id.insert(id, rule);
            }
        }
        Rules {
            by_id,
            driver,
            extensions,
        }
    }

    /// SARIF 3.27.5 to 3.27.7, 3.52.4: a rule is named by id, by index, or through a reference into an extension.
    fn find(&self, result: &'a Value) -> Option<&'a Value> {
        let reference = &result["rule"];
        let index = |value: &Value| usize::try_from(value.as_u64()?).ok();
        if let Some(extension) = index(&reference["toolComponent"]["index"])
            && let Some(at) = index(&reference["index"])
            && let Some(rule) = self
                .extensions
                .get(extension)
                .and_then(|rules| rules.get(at))
        {
            return Some(rule);
        }
        let at = index(&result["ruleIndex"]).or_else(|| index(&reference["index"]));
        if let Some(rule) = at.and_then(|at| self.driver.get(at)) {
            return Some(rule);
        }
        let id = result["ruleId"]
            .as_str()
            .or_else(|| reference["id"].as_str())?;
        // 3.52.4: `CA1000/part` is a kind of `CA1000`.
        let mut id = id;
        loop {
            if let Some(rule) = self.by_id.get(id) {
                return Some(rule);
            }
            id = id.rsplit_once('/')?.0;
        }
    }
}

fn reported(result: &Value, kind: &str, run: &Value, rules: &Rules<'_>, bases: &Value) -> Reported {
    let rule = rules.find(result).unwrap_or(&Value::Null);
    let id = [&result["ruleId"], &result["rule"]["id"], &rule["id"]];
    let id = id.iter().find_map(|id| id.as_str()).unwrap_or("unknown");
    let name = [
        &rule["shortDescription"]["text"],
        &rule["name"],
        &rule["fullDescription"]["text"],
    ];
    let name = name.iter().find_map(|name| name.as_str()).unwrap_or(id);
    let score = [
        &result["properties"]["security-severity"],
        &rule["properties"]["security-severity"],
    ];
    let score = score.iter().find_map(|score| match score {
        Value::String(text) => text.trim().parse().ok(),
        score => score.as_f64(),
    });
    // 3.27.10: the result's level, else the rule's, else a warning; what is open or under review has `none` as its level.
    let level = [&result["level"], &rule["defaultConfiguration"]["level"]];
    let level = level.iter().find_map(|level| level.as_str());
    let level = level.unwrap_or(if kind == "fail" { "warning" } else { "none" });
    let severity = score
        .and_then(Severity::of_score)
        .or_else(|| Severity::parse(&result["properties"]["severity"].as_str()?.to_lowercase()))
        .unwrap_or_else(|| Severity::of_level(level));
    let (method, places) = places(result, run, bases);
    Reported {
        rule: cut(id, 200),
        rule_name: cut(name, 300),
        message: cut(&message(result, rule), 2_000),
        severity,
        fingerprint: fingerprint(result),
        method,
        places,
    }
}

/// 3.11: the text, the markdown, or a text of the rule with placeholders filled in.
fn message(result: &Value, rule: &Value) -> String {
    let message = &result["message"];
    if let Some(text) = message["text"]
        .as_str()
        .or_else(|| message["markdown"].as_str())
    {
        return text.to_owned();
    }
    let id = message["id"].as_str().unwrap_or("default");
    let mut text = rule["messageStrings"][id]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for (at, argument) in message["arguments"]
        .as_array()
        .into_iter()
        .flatten()
        .take(16)
        .enumerate()
    {
        let argument = cut(argument.as_str().unwrap_or_default(), 300);
        text = cut(&text.replace(&format!("{{{at}}}"), &argument), 2_000);
    }
    text
}

fn fingerprint(result: &Value) -> String {
    for name in ["fingerprints", "partialFingerprints"] {
        let Some(all) = result[name].as_object() else {
            continue;
        };
        let mut all: Vec<(&String, &str)> = all
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        all.sort_unstable();
        if !all.is_empty() {
            let text: Vec<String> = all
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            return text.join("\n");
        }
    }
    // `guid` is a new one each time and says nothing of another scan.
    String::new()
}

/// Where a result may have been found, the best first.
fn places(result: &Value, run: &Value, bases: &Value) -> (String, Vec<String>) {
    let mut method = String::new();
    let mut places: Vec<String> = Vec::new();
    let mut request = &result["webRequest"];
    // 3.46.2: a request may stand in the run, and the result name it by index.
    if let Some(at) = request["index"]
        .as_u64()
        .and_then(|at| usize::try_from(at).ok())
        && let Some(shared) = run["webRequests"].get(at)
    {
        request = shared;
    }
    if let Some(verb) = request["method"].as_str() {
        method = verb.to_owned();
    }
    places.extend(web_target(request));
    let properties = &result["properties"];
    for name in [
        "url",
        "uri",
        "requestUrl",
        "matched-at",
        "matched_at",
        "matchedAt",
        "endpoint",
        "host",
        "path",
    ] {
        if let Some(place) = properties[name].as_str() {
            places.push(place.to_owned());
        }
    }
    for name in ["method", "httpMethod", "http-method"] {
        if let Some(verb) = properties[name].as_str().filter(|_| method.is_empty()) {
            method = verb.to_owned();
        }
    }
    for at in result["locations"]
        .as_array()
        .into_iter()
        .flatten()
        .take(MAX_LOCATIONS)
    {
        let physical = &at["physicalLocation"];
        if let Some(uri) = location(&physical["artifactLocation"], run, bases) {
            places.push(uri);
        }
        if let Some(address) = physical["address"]["fullyQualifiedName"].as_str() {
            places.push(address.to_owned());
        }
        for name in ["url", "uri", "path"] {
            if let Some(place) = at["properties"][name].as_str() {
                places.push(place.to_owned());
            }
        }
        if let Some(verb) = at["properties"]["method"]
            .as_str()
            .filter(|_| method.is_empty())
        {
            method = verb.to_owned();
        }
        for logical in at["logicalLocations"]
            .as_array()
            .into_iter()
            .flatten()
            .take(MAX_LOCATIONS)
        {
            for name in ["fullyQualifiedName", "name", "decoratedName"] {
                if let Some(place) = logical[name].as_str() {
                    places.push(place.to_owned());
                }
            }
        }
    }
    // `GET /books` says both.
    let mut out = Vec::new();
    for place in places {
        let place = place.trim();
        let (verb, rest) = match place.split_once(char::is_whitespace) {
            Some((verb, rest)) if is_method(verb) => (verb, rest.trim()),
            _ => ("", place),
        };
        if method.is_empty() {
            method = verb.to_owned();
        }
        let rest = cut(rest, 2_000);
        if !rest.is_empty() && !out.contains(&rest) {
            out.push(rest);
        }
    }
    let method = if is_method(&method) {
        method.to_uppercase()
    } else {
        String::new()
    };
    (method, out)
}

fn is_method(word: &str) -> bool {
    const METHODS: [&str; 9] = [
        "GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT",
    ];
    METHODS
        .iter()
        .any(|method| method.eq_ignore_ascii_case(word))
}

/// 3.46.6: the target of a request, put together with its `Host` where it is a path.
fn web_target(request: &Value) -> Option<String> {
    let target = request["target"].as_str()?;
    if !target.starts_with('/') {
        return Some(cut(target, 2_000));
    }
    let headers = request["headers"].as_object();
    let host = headers
        .into_iter()
        .flatten()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"));
    match host.and_then(|(_, value)| value.as_str()) {
        Some(host) => Some(cut(&format!("//{host}{target}"), 2_000)),
        None => Some(cut(target, 2_000)),
    }
}

/// 3.4: a URI, absolute or relative to one of the run's bases, here or in the run's artifacts.
fn location(location: &Value, run: &Value, bases: &Value) -> Option<String> {
    let mut location = location;
    if location["uri"].is_null() {
        let at = usize::try_from(location["index"].as_u64()?).ok()?;
        location = run["artifacts"]
            .get(at)
            .map(|artifact| &artifact["location"])?;
    }
    let uri = location["uri"].as_str()?;
    let base = location["uriBaseId"]
        .as_str()
        .and_then(|id| bases[id]["uri"].as_str());
    match base {
        Some(base) if !uri.contains("://") => {
            let slash = if base.ends_with('/') || uri.starts_with('/') {
                ""
            } else {
                "/"
            };
            Some(cut(&format!("{base}{slash}{uri}"), 2_000))
        }
        _ => Some(cut(uri, 2_000)),
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(most).collect()
}
