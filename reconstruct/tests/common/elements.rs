//! XML: an archive with namespaces, attributes, wrapped lists and folders in folders, and documents of no API in particular.

use super::{Draw, Exchange};
use std::fmt::Write;

const MEDIA: &str = "application/xml; charset=utf-8";

fn folder(d: &mut Draw, depth: u32) -> String {
    let inside: String = (0..if depth > 3 { 0 } else { 1 + d.below(2) })
        .map(|_| folder(d, depth + 1))
        .collect();
    format!(
        "<folder><name>f {}</name><size>{}</size>{inside}</folder>",
        d.below(10_000),
        d.below(1000)
    )
}

fn record(d: &mut Draw) -> String {
    let id = 1000 + d.below(500);
    let pages = match d.below(4) {
        0 => "<a:pages/>".to_owned(),
        1 => "<a:pages xsi:nil=\"true\"/>".to_owned(),
        _ => format!("<a:pages>{}</a:pages>", d.below(900)),
    };
    let note = if d.below(2) == 0 {
        "<a:note lang=\"en\">A &amp; <![CDATA[<B>]]></a:note>"
    } else {
        "<a:note>plain</a:note>"
    };
    let keywords: String = (0..d.below(4))
        .map(|_| {
            format!(
                "<a:keyword>{}</a:keyword>",
                d.of(&["maps", "letters", "photos"])
            )
        })
        .collect();
    format!(
        "<a:record id=\"{id}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><a:title>Volume {}</a:title>{pages}{note}<a:keywords>{keywords}</a:keywords><a:taken>1999-0{}-1{}</a:taken></a:record>",
        d.below(100_000),
        1 + d.below(9),
        d.below(9),
    )
}

/// `n` exchanges.
pub fn archive(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let id = 1000 + d.below(500);
            match i % 4 {
                0 => {
                    let all: String = (0..d.below(4)).map(|_| record(&mut d)).collect();
                    Exchange::new("GET", "/records", 200).answers(
                        MEDIA,
                        &format!("<?xml version=\"1.0\"?>\n<a:records xmlns:a=\"http://archive.example.com/2020/records\">{all}</a:records>"),
                    )
                }
                1 => Exchange::new("GET", &format!("/folders/{id}"), 200)
                    .answers(MEDIA, &folder(&mut d, 0)),
                2 => Exchange::new("POST", "/folders", 201)
                    .sends(MEDIA, &format!("<folder><name>{}</name></folder>", d.below(1000)))
                    .answers(MEDIA, &folder(&mut d, 3)),
                _ => Exchange::new("GET", &format!("/folders/{}", 90_000 + id), 404)
                    .answers(MEDIA, "<error><code>404</code></error>"),
            }
        })
        .collect()
}

fn element(d: &mut Draw, name: &str, depth: u64, out: &mut String) {
    let _ = write!(out, "<{name}");
    for attribute in ["id", "kind", "u:ref"] {
        if d.below(4) == 0 {
            let value = match d.below(3) {
                0 => d.below(100).to_string(),
                1 => d.of(&["open", "closed"]).to_owned(),
                _ => "a &lt; b".to_owned(),
            };
            let _ = write!(out, " {attribute}='{value}'");
        }
    }
    match d.below(5 + depth) {
        0 => out.push_str("/>"),
        1 => {
            let _ = write!(out, "></{name}>");
        }
        2..=4 => {
            out.push('>');
            let _ = match d.below(3) {
                0 => write!(out, "\n text {} ", d.below(5)),
                _ => Ok(()),
            };
            for _ in 0..d.below(5) {
                let child = ["item", "name", "size", "u:item", "x.y-z"][d.below(5) as usize];
                element(d, child, depth + 2, out);
            }
            let _ = write!(out, "</{name}>");
        }
        _ => {
            let text = match d.below(9) {
                0 => d.below(1000).to_string(),
                1 => format!("{}.5", d.below(100)),
                2 => "true".to_owned(),
                3 => format!("2026-01-0{}", 1 + d.below(9)),
                4 => d.uuid(),
                5 => " ".to_owned(),
                6 => "&#233;&x;".replace("&x;", "&amp;"),
                7 => "<![CDATA[<a/>]]>".to_owned(),
                _ => d.of(&["red", "green"]).to_owned(),
            };
            let _ = write!(out, ">{text}</{name}>");
        }
    }
}

/// `n` exchanges with documents nobody wrote down.
pub fn wild(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|_| {
            let root = ["root", "u:list", "item"][d.below(3) as usize];
            let mut text = String::new();
            element(&mut d, root, 0, &mut text);
            // Declared on the root, where there is room behind its name.
            let text = text.replacen(root, &format!("{root} xmlns:u='urn:example:u'"), 1);
            Exchange::new("GET", &format!("/things/{}", d.of(&["a", "b"])), 200)
                .answers("text/xml", &text)
        })
        .collect()
}
