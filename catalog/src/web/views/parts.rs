//! What recurs on pages: points in time, statuses, severities, methods, paths, headings that sort, pages of a list.
//!
//! In: plain values. Out: HTML of its own template, escaped there; so these may stand in other templates as they are
//! ([`HtmlSafe`]).

use askama::Template;
use askama::filters::HtmlSafe;

use super::filters;
use crate::Millis;

/// A point in time: how long ago, and exactly when on hover.
#[derive(Debug, Clone, Template)]
#[template(
    source = r#"<time datetime="{{ iso }}" title="{{ full }}">{{ relative }}</time>"#,
    ext = "html"
)]
pub(crate) struct When {
    iso: String,
    full: String,
    relative: String,
}

impl HtmlSafe for When {}

impl When {
    /// Seen from `now`.
    pub(crate) fn new(at: Millis, now: Millis) -> When {
        let iso = at.rfc3339();
        let full = iso.replace('T', " ").replace('Z', " UTC");
        let ahead = at.0.saturating_sub(now.0);
        let relative = if ahead > 60_000 {
            format!("in {}", span(ahead / 1000))
        } else {
            match now.since(at).as_secs() {
                0..=59 => "just now".to_owned(),
                seconds if seconds < 7 * 86_400 => {
                    format!("{} ago", span(i64::try_from(seconds).unwrap_or(0)))
                }
                _ => iso.chars().take(10).collect(),
            }
        };
        When {
            iso,
            full,
            relative,
        }
    }
}

/// `47 s`, `12 min`, `5 h`, `3 days`.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=86_399 => format!("{} h", seconds / 3_600),
        86_400..=172_799 => "1 day".to_owned(),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `1 operation`, `12 operations`, with thousands set apart.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        thousands(number),
        if number == 1 { one } else { many }
    )
}

/// `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A state in a word, with its reason on hover and on focus.
#[derive(Debug, Clone, Template)]
#[template(
    source = r#"{% if reason.is_empty() %}<span class="status {{ tone }}" data-test="status">{{ label }}</span>{% else -%}
<button type="button" class="status {{ tone }}" data-test="status" aria-describedby="reason-{{ id }}"><span class="label">{{ label }}</span><span class="reason" role="tooltip" id="reason-{{ id }}">{{ reason }}</span></button>{% endif %}"#,
    ext = "html"
)]
pub(crate) struct Status {
    /// Sets it apart from others on the page.
    pub(crate) id: String,
    /// `Sync failed`.
    pub(crate) label: String,
    /// `good`, `warn`, `bad`, `busy`, `info` or empty.
    pub(crate) tone: &'static str,
    /// Why, or empty.
    pub(crate) reason: String,
}

impl HtmlSafe for Status {}

/// How many findings of which severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Template)]
#[template(
    source = r#"{% if self.none() %}<span class="faint">None</span>{% else %}<span class="severities">
{%- for (name, title, count) in self.each() %}{% if count > 0 %}<span class="severity {{ name }}" title="{{ title }}">{{ count }}<span class="sr"> </span> {{ title }}</span>{% endif %}{% endfor -%}
</span>{% endif %}"#,
    ext = "html"
)]
pub(crate) struct Severities {
    pub(crate) critical: u64,
    pub(crate) high: u64,
    pub(crate) medium: u64,
    pub(crate) low: u64,
    pub(crate) informational: u64,
}

impl HtmlSafe for Severities {}

impl Severities {
    /// Name, title and number, the worst first.
    pub(crate) fn each(&self) -> [(&'static str, &'static str, u64); 5] {
        [
            ("critical", "Critical", self.critical),
            ("high", "High", self.high),
            ("medium", "Medium", self.medium),
            ("low", "Low", self.low),
            ("informational", "Info", self.informational),
        ]
    }

    /// All together.
    pub(crate) fn total(&self) -> u64 {
        self.each().iter().map(|(_, _, count)| count).sum()
    }

    fn none(&self) -> bool {
        self.total() == 0
    }
}

/// `GET`, coloured by what it does.
#[derive(Debug, Clone, Template)]
#[template(
    source = r#"<span class="method {{ class }}">{{ name }}</span>"#,
    ext = "html"
)]
pub(crate) struct Method {
    name: String,
    class: &'static str,
}

impl HtmlSafe for Method {}

impl Method {
    pub(crate) fn new(name: &str) -> Method {
        let name = name.to_ascii_uppercase();
        let class = match name.as_str() {
            "GET" => "get",
            "HEAD" => "head",
            "POST" => "post",
            "PUT" => "put",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        };
        Method { name, class }
    }
}

/// A path template with its parameters set apart.
#[derive(Debug, Clone, Template)]
#[template(
    source = r#"<span class="path">{% for (parameter, text) in pieces %}{% if *parameter %}<span class="parameter">{{ text }}</span>{% else %}{{ text }}{% endif %}{% endfor %}</span>"#,
    ext = "html"
)]
pub(crate) struct PathText {
    pieces: Vec<(bool, String)>,
}

impl HtmlSafe for PathText {}

impl PathText {
    pub(crate) fn new(path: &str) -> PathText {
        let mut pieces = Vec::new();
        let mut rest = path;
        while let Some(from) = rest.find('{') {
            let Some(to) = rest[from..].find('}').map(|to| from + to + 1) else {
                break;
            };
            if from > 0 {
                pieces.push((false, rest[..from].to_owned()));
            }
            pieces.push((true, rest[from..to].to_owned()));
            rest = &rest[to..];
        }
        if !rest.is_empty() {
            pieces.push((false, rest.to_owned()));
        }
        PathText { pieces }
    }
}

/// A column's heading. With a link it sorts by the column.
#[derive(Debug, Clone, Template)]
#[template(
    source = r##"<th scope="col"{% if !class.is_empty() %} class="{{ class }}"{% endif %}{% if !sorted.is_empty() %} aria-sort="{{ sorted }}"{% endif %}>
{%- if href.is_empty() %}{{ label }}{% else %}<a class="sort" href="{{ href }}" hx-get="{{ href }}" hx-target="#results" hx-select="#results" hx-select-oob="#filters-kept" hx-swap="outerHTML" hx-push-url="true">{{ label }}{{ "sort"|icon }}</a>{% endif %}</th>"##,
    ext = "html"
)]
pub(crate) struct Heading {
    pub(crate) label: &'static str,
    pub(crate) class: &'static str,
    pub(crate) href: String,
    /// `ascending`, `descending` or empty.
    pub(crate) sorted: &'static str,
}

impl HtmlSafe for Heading {}

/// Links to the pages of a list.
#[derive(Debug, Clone, Template)]
#[template(
    source = r##"<nav class="pager" aria-label="Pages" data-test="pager"><p>{% if total == 0 %}Nothing to show{% else %}{{ from }}–{{ to }} of {{ total|thousands }}{% endif %}</p>
{%- if links.len() > 1 %}<ul>{% for link in links %}<li>{% if link.here %}<span class="here" aria-current="page">{{ link.label }}</span>{% else if link.href.is_empty() %}<span class="gap">…</span>{% else %}<a href="{{ link.href }}" hx-get="{{ link.href }}" hx-target="#results" hx-select="#results" hx-swap="outerHTML show:#results:top" hx-push-url="true" aria-label="Page {{ link.label }}">{{ link.label }}</a>{% endif %}</li>{% endfor %}</ul>{% endif %}</nav>"##,
    ext = "html"
)]
pub(crate) struct Pager {
    from: u64,
    to: u64,
    total: u64,
    links: Vec<PageLink>,
}

impl HtmlSafe for Pager {}

#[derive(Debug, Clone)]
struct PageLink {
    label: String,
    href: String,
    here: bool,
}

impl Pager {
    /// `href` gives the address of a page.
    pub(crate) fn new(number: u64, size: u64, total: u64, href: impl Fn(u64) -> String) -> Pager {
        let size = size.max(1);
        let last = total.div_ceil(size).max(1);
        let mut links = Vec::new();
        let mut before = 0;
        for page in 1..=last {
            let near = page.abs_diff(number) <= 2;
            if !(page == 1 || page == last || near) {
                continue;
            }
            if page > before + 1 {
                links.push(PageLink {
                    label: "…".to_owned(),
                    href: String::new(),
                    here: false,
                });
            }
            before = page;
            links.push(PageLink {
                label: page.to_string(),
                href: href(page),
                here: page == number,
            });
            if page > number + 2 {
                break;
            }
        }
        if before < last {
            if last > before + 1 {
                links.push(PageLink {
                    label: "…".to_owned(),
                    href: String::new(),
                    here: false,
                });
            }
            links.push(PageLink {
                label: last.to_string(),
                href: href(last),
                here: last == number,
            });
        }
        let from = ((number - 1) * size + 1).min(total.max(1));
        Pager {
            from,
            to: (number * size).min(total),
            total,
            links,
        }
    }
}

/// One option of a `<select>`.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

impl Choice {
    pub(crate) fn new(value: impl Into<String>, label: impl Into<String>, chosen: &str) -> Choice {
        let value = value.into();
        Choice {
            chosen: value == chosen,
            label: label.into(),
            value,
        }
    }
}

/// What stands where a list has nothing: why, and what to do about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Empty {
    pub(crate) icon: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    /// Addresses and words of links.
    pub(crate) actions: Vec<(String, &'static str)>,
}

impl Empty {
    /// With addresses and words of links.
    pub(crate) fn new(
        icon: &'static str,
        title: &'static str,
        text: &'static str,
        actions: &[(&str, &'static str)],
    ) -> Empty {
        Empty {
            icon,
            title,
            text,
            actions: actions
                .iter()
                .map(|(href, label)| ((*href).to_owned(), *label))
                .collect(),
        }
    }
}

/// A value in a form, with what is wrong with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Field {
    pub(crate) value: String,
    pub(crate) error: String,
}

impl Field {
    pub(crate) fn new(value: impl Into<String>) -> Field {
        Field {
            value: value.into(),
            error: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        let now = Millis::parse("2026-03-10T12:00:00Z").unwrap();
        for (at, expected) in [
            ("2026-03-10T11:59:50Z", "just now"),
            ("2026-03-10T11:48:00Z", "12 min ago"),
            ("2026-03-09T11:00:00Z", "1 day ago"),
            ("2026-03-10T15:00:00Z", "in 3 h"),
            ("2026-01-02T03:04:05Z", "2026-01-02"),
        ] {
            let when = When::new(Millis::parse(at).unwrap(), now);
            assert_eq!(when.relative, expected, "{at}");
        }
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let hostile = "/<script>alert(1)</script>/{\"><img src=x>}";
        let shown = PathText::new(hostile).to_string();
        assert!(
            !shown.contains("<script") && !shown.contains("<img"),
            "{shown}"
        );
        let shown = Method::new("<b>").to_string();
        assert!(!shown.contains("<b>") && !shown.contains("<B>"), "{shown}");
    }

    #[test]
    fn long_lists_show_the_pages_around_this_one() {
        let labels = |number, total| -> Vec<String> {
            let pager = Pager::new(number, 10, total, |page| page.to_string());
            pager.links.into_iter().map(|link| link.label).collect()
        };
        assert_eq!(labels(1, 10), ["1"]);
        assert_eq!(labels(1, 95), ["1", "2", "3", "…", "10"]);
        assert_eq!(
            labels(5, 1_000),
            ["1", "…", "3", "4", "5", "6", "7", "…", "100"]
        );
        assert_eq!(labels(100, 1_000), ["1", "…", "98", "99", "100"]);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "API", "APIs"), "1 API");
    }
}
