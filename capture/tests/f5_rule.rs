//! The iRule for F5 BIG-IP has its settings in a table of its own, in Tcl: it is held against [`Settings::TABLE`], and docs/f5.md against
//! both.

#![allow(clippy::unwrap_used, reason = "tests")]

use silhouette_capture::Settings;

const RULE: &str = include_str!("../../f5-irule/silhouette.tcl");
const DOCS: &str = include_str!("../../docs/f5.md");
const SAMPLE: &str = include_str!("../../deploy/f5/settings.conf");

/// Shared settings whose default is another one there: TMM keeps in memory what is collected.
const OTHER_DEFAULT: [&str; 2] = ["max_request_body", "max_response_body"];

/// Shared settings the rule does not have, and what is in their place.
const ELSEWHERE: [(&str, &str); 8] = [
    ("collector", "the log pool"),
    ("token", "the key"),
    (
        "tls_ca",
        "the server SSL profile of the virtual server that encrypts",
    ),
    ("redact_query", "the collector's `hsl_redact_query`"),
    ("redact_json", "the collector's `hsl_redact_json`"),
    ("queue_bytes", "HSL's own buffers"),
    ("flush_interval_ms", "HSL, which sends at once"),
    ("name", "the BIG-IP's host name and `key_id`"),
];

/// What settings do that only the rule has.
const OWN: [(&str, &str); 10] = [
    (
        "enabled",
        "The switch: with 0 nothing is captured, whatever else is set.",
    ),
    (
        "pool",
        "Where records go. Its members are the collector, or the virtual server that encrypts.",
    ),
    (
        "transport",
        "How records go. Datagrams get lost without anybody noticing on this side, hold 64 KB at most, and cannot be encrypted.",
    ),
    ("key_id", "Which key signs the records: its name."),
    ("key", "The key itself."),
    (
        "max_head",
        "How much of a head is kept, each way; more is cut at the end of a line.",
    ),
    (
        "collect",
        "Whose bodies are read. Leave out those that [another rule inspects](#other-rules-that-inspect-bodies).",
    ),
    (
        "collect_chunked",
        "Whether bodies without a length are read, too. Waiting for such a request's may hold up a client that waits for an answer to the first piece.",
    ),
    (
        "collect_wait_ms",
        "How long a body is waited for; then what came until then is kept, and everything goes on.",
    ),
    (
        "log_interval",
        "The rule writes one line to the log in this time at most.",
    ),
];

/// A setting of the rule.
struct Row {
    name: String,
    default: String,
    accepts: String,
}

/// The elements of a Tcl list that uses braces for grouping and nothing else.
fn elements(list: &str) -> Vec<&str> {
    let (mut found, mut depth, mut begin) = (Vec::new(), 0, None);
    for (at, letter) in list.char_indices() {
        if letter == '{' {
            depth += 1;
        } else if letter == '}' {
            depth -= 1;
        }
        match begin {
            None if !letter.is_whitespace() => begin = Some(at),
            Some(from) if depth == 0 && letter.is_whitespace() => {
                found.push(&list[from..at]);
                begin = None;
            }
            _ => {}
        }
    }
    found.extend(begin.map(|from| &list[from..]));
    found
        .into_iter()
        .map(|element| {
            let inside = element.strip_prefix('{').and_then(|e| e.strip_suffix('}'));
            inside.unwrap_or(element)
        })
        .collect()
}

fn table() -> Vec<Row> {
    let (_, rest) = RULE.split_once("set static::sil_table {").unwrap();
    let (table, _) = rest.split_once("\n    }\n").unwrap();
    let rows: Vec<Row> = elements(table)
        .into_iter()
        .map(|row| {
            let row = elements(row);
            assert_eq!(row.len(), 4, "{row:?}");
            Row {
                name: row[0].to_owned(),
                default: row[2].to_owned(),
                accepts: row[3].to_owned(),
            }
        })
        .collect();
    assert!(rows.len() > 10);
    rows
}

#[test]
fn a_shared_setting_means_the_same() {
    for row in table() {
        let Some(setting) = Settings::TABLE.iter().find(|it| it.name == row.name) else {
            continue;
        };
        if !OTHER_DEFAULT.contains(&setting.name) {
            assert_eq!(row.default, setting.default, "{}", row.name);
        }
        let given = if row.default.is_empty() {
            "off"
        } else {
            &row.default
        };
        Settings::default().set(&row.name, given).unwrap();
    }
}

#[test]
fn every_shared_setting_is_there_or_elsewhere() {
    let table = table();
    let there = |name: &str| table.iter().any(|row| row.name == name);
    for setting in Settings::TABLE {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == setting.name);
        assert_ne!(there(setting.name), elsewhere, "{}", setting.name);
    }
    for row in &table {
        let shared = Settings::TABLE.iter().any(|it| it.name == row.name);
        let own = OWN.iter().any(|(name, _)| *name == row.name);
        assert_ne!(shared, own, "{}", row.name);
    }
    assert!(OWN.iter().all(|(name, _)| there(name)));
}

#[test]
fn the_documentation_has_every_setting() {
    let mut wanted = String::from("\n| setting | default | accepts | |\n|---|---|---|---|\n");
    for row in table() {
        let shared = Settings::TABLE.iter().find(|it| it.name == row.name);
        let own = OWN.iter().find(|(name, _)| *name == row.name);
        let help = shared.map_or_else(|| own.unwrap().1, |it| it.help);
        let default = match row.default.as_str() {
            "" if matches!(row.name.as_str(), "pool" | "key_id" | "key") => "required".to_owned(),
            "" => "–".to_owned(),
            long if long.len() > 60 => {
                "built-in list, see [nginx.md](nginx.md#directives)".to_owned()
            }
            short => format!("`{short}`"),
        };
        // In Markdown a star is emphasis.
        let accepts = row.accepts.replace('*', "\\*");
        wanted += &format!("| `{}` | {default} | {accepts} | {help} |\n", row.name);
    }
    wanted += "\n";
    let begin = "<!-- settings: made by a test, see capture/tests/f5_rule.rs -->\n";
    let (before, rest) = DOCS.split_once(begin).unwrap();
    let (have, after) = rest.split_once("<!-- /settings -->\n").unwrap();
    if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/f5.md");
        std::fs::write(
            path,
            format!("{before}{begin}{wanted}<!-- /settings -->\n{after}"),
        )
        .unwrap();
    } else {
        assert_eq!(have, wanted, "SILHOUETTE_UPDATE_GENERATED=1 writes it anew");
    }
    for (name, place) in ELSEWHERE {
        assert!(
            DOCS.contains(&format!("| `{name}` | {place} |")),
            "docs/f5.md does not say where {name} is"
        );
    }
}

#[test]
fn the_sample_names_settings_there_are() {
    let table = table();
    for line in SAMPLE.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        let name = line.split(' ').next().unwrap_or_default();
        // Prose begins with a space after the sign.
        if !name.is_empty() {
            assert!(table.iter().any(|row| row.name == name), "{line}");
        }
    }
}

#[test]
fn lines_of_the_log_are_the_rules() {
    let (_, rest) = DOCS.split_once("| the log says | then |\n").unwrap();
    let mut lines = 0;
    for line in rest
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
    {
        let Some((said, _)) = line
            .strip_prefix("| `")
            .and_then(|line| line.split_once('`'))
        else {
            continue;
        };
        // Names and values stand for variables, which the rule's text has in their place.
        let said = said.replace("EVENT", "…");
        let parts: Vec<&str> = said.split('…').filter(|part| !part.is_empty()).collect();
        let together = RULE.lines().any(|line| {
            let mut rest = Some(line);
            for part in &parts {
                rest = rest
                    .and_then(|text| text.split_once(part))
                    .map(|(_, rest)| rest);
            }
            rest.is_some()
        });
        assert!(together, "the rule does not say `{said}`");
        lines += 1;
    }
    assert_eq!(lines, 5);
}
