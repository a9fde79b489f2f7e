//! Forms: URL-encoded (WHATWG URL, 5) and multipart (RFC 7578).
//!
//! In: a body, whole or cut off. Out: the shape has learnt its fields as members of an object, and the notes which came several times
//! and which media types their parts said. It looks at no file.

use crate::body::{Content, Kind, pairs};
use crate::bounded::Seen;
use crate::format;
use crate::json::{self, Read};
use crate::keys;
use crate::notes::Notes;
use crate::observation::Body;
use crate::shape::Scale;
use memchr::memmem;
use std::collections::HashMap;

/// More media types of one field are not told apart.
const MOST_TYPES: usize = 4;

/// The fields of one body.
struct Parts<'n> {
    notes: &'n mut Notes,
    scale: Scale,
    times: HashMap<String, u32>,
}

impl<'n> Parts<'n> {
    fn new(notes: &'n mut Notes, scale: Scale) -> Parts<'n> {
        Parts {
            notes,
            scale,
            times: HashMap::new(),
        }
    }

    /// Notes one more field, with the media type it says.
    fn one(&mut self, name: &str, media: &str) {
        if keys::is_data(name) || name.contains('\n') {
            return;
        }
        let times = self.times.entry(name.to_owned()).or_default();
        *times += 1;
        if *times == 2 {
            self.notes.add(name, self.scale);
        }
        if is_media_type(media) {
            self.notes.add(&format!("{name}\n{media}"), self.scale);
        }
    }
}

/// Whether a text is a media type as they are registered, not a text of the client's choice.
fn is_media_type(media: &str) -> bool {
    const KINDS: [&str; 9] = [
        "application",
        "audio",
        "font",
        "image",
        "message",
        "model",
        "multipart",
        "text",
        "video",
    ];
    media.len() <= 80
        && media.split_once('/').is_some_and(|(kind, own)| {
            KINDS.contains(&kind)
                && own.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && own
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
                && own
                    .split(['+', '-', '.', '_'])
                    .all(|part| !keys::is_data(part) || part.is_empty())
        })
}

/// Whether a field came several times in one body.
pub(crate) fn is_repeated(notes: &Notes, name: &str) -> bool {
    notes.all().any(|note| note == name)
}

/// The media types the parts of a field said, sorted; a kind (`image/*`) where there are many.
pub(crate) fn types(notes: &Notes, name: &str) -> Vec<String> {
    let all = notes.all().filter_map(|note| note.split_once('\n'));
    let all: Vec<&str> = all
        .filter(|(n, _)| *n == name)
        .map(|(_, media)| media)
        .collect();
    if all.len() <= MOST_TYPES {
        return all.into_iter().map(str::to_owned).collect();
    }
    let mut kinds: Vec<String> = all
        .iter()
        .filter_map(|media| Some(format!("{}/*", media.split_once('/')?.0)))
        .collect();
    kinds.dedup();
    kinds
}

/// `a=b&c=d` as an object.
pub(crate) fn urlencoded(content: &mut Content, body: Body<'_>, scale: Scale) -> Read {
    let Ok(text) = std::str::from_utf8(body.bytes) else {
        return Read::Malformed;
    };
    let objects = content.shape.objects.get_or_insert_default();
    let mut open = objects.open(body.complete, 0, scale);
    let mut parts = Parts::new(&mut content.notes, scale);
    let mut rest = text.trim_end_matches(['\r', '\n']);
    if !body.complete {
        rest = rest.rsplit_once('&').map_or("", |(whole, _)| whole);
    }
    for (name, value) in pairs(rest) {
        parts.one(&name, "");
        objects.member(&mut open, &name, 0, |member| {
            member.text(|s| s.learn(&value))
        });
    }
    Read::Json
}

/// The text between the parts.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|p| {
        let (name, value) = p.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && (1..=70).contains(&value.len()))
            .then_some(value)
    })
}

/// Names, files, and JSON or text fields as an object.
pub(crate) fn multipart(
    content: &mut Content,
    body: Body<'_>,
    boundary: Option<&str>,
    scale: Scale,
    identities: &mut Seen,
) -> Read {
    let (bytes, complete) = (body.bytes, body.complete);
    let Some(boundary) = boundary else {
        return Read::Malformed;
    };
    let delimiter = format!("--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    let starts: Vec<usize> = finder.find_iter(bytes).take(1024).collect();
    if starts.is_empty() {
        return Read::Malformed;
    }
    let objects = content.shape.objects.get_or_insert_default();
    let mut open = objects.open(complete, 0, scale);
    let mut parts = Parts::new(&mut content.notes, scale);
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied();
        let whole = complete || end.is_some();
        let part = bytes
            .get(start + delimiter.len()..end.unwrap_or(bytes.len()))
            .unwrap_or(&[]);
        let Some(split) = memmem::find(part, b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(part.get(..split).unwrap_or(&[]));
        let body = part.get(split + 4..).unwrap_or(&[]);
        let body = body.strip_suffix(b"\r\n").unwrap_or(body);
        let (mut name, mut file, mut media) = (None, false, String::new());
        for line in head.lines() {
            let Some((header, value)) = line.split_once(':') else {
                continue;
            };
            if header.trim().eq_ignore_ascii_case("content-disposition") {
                for parameter in value.split(';').skip(1) {
                    let Some((key, text)) = parameter.split_once('=') else {
                        continue;
                    };
                    match key.trim() {
                        "name" => name = Some(text.trim().trim_matches('"').to_owned()),
                        "filename" | "filename*" => file = true,
                        _ => {}
                    }
                }
            } else if header.trim().eq_ignore_ascii_case("content-type") {
                media = value
                    .split(';')
                    .next()
                    .unwrap_or("")
                    .trim()
                    .to_ascii_lowercase();
            }
        }
        let Some(name) = name else { continue };
        parts.one(&name, &media);
        objects.member(&mut open, &name, 0, |member| {
            if file || (!media.is_empty() && Kind::of(&media) == Kind::Binary) {
                member.text(|s| s.learn_opaque(format::FILE))
            } else if Kind::of(&media) == Kind::Json && !media.is_empty() {
                member.grown(|member| {
                    json::learn(member, body, whole, scale, identities);
                })
            } else if whole && body.len() <= 4096 {
                member.text(|s| s.learn(&String::from_utf8_lossy(body)))
            } else {
                member.text(|s| s.learn_opaque(0))
            }
        });
    }
    Read::Json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_registered_ones() {
        for media in ["image/png", "application/vnd.api+json", "text/csv"] {
            assert!(is_media_type(media), "{media}");
        }
        for media in [
            "",
            "image",
            "ada/lovelace",
            "image/",
            "text/x y",
            "image/zq8d2f0c4a17be",
            "*/*",
        ] {
            assert!(!is_media_type(media), "{media}");
        }
    }

    #[test]
    fn fields_are_noted() {
        let mut notes = Notes::default();
        for media in [
            "image/png",
            "image/gif",
            "image/webp",
            "image/jpeg",
            "text/plain",
            "image/bmp",
        ] {
            let mut parts = Parts::new(&mut notes, 0);
            parts.one("photo", media);
            parts.one("meta", "application/json");
            parts.one("tag", "");
            parts.one("tag", "");
        }
        assert!(is_repeated(&notes, "tag") && !is_repeated(&notes, "photo"));
        assert_eq!(types(&notes, "meta"), ["application/json"]);
        assert_eq!(types(&notes, "photo"), ["image/*", "text/*"]);
        assert!(types(&notes, "tag").is_empty());
    }
}
