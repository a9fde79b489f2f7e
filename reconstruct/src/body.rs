//! Bodies of one direction by media type.
//!
//! In: a message's body and media type. Out: per media type how many there were and the shape of those that can be read:
//! JSON (and `+json`), NDJSON, XML (and `+xml`), URL-encoded and multipart forms. Other bodies are counted by their media type only.

use crate::bounded::{Bound, Entry, Seen, Thinned};
use crate::forms;
use crate::json;
use crate::notes::Notes;
use crate::observation::Message;
use crate::shape::{OPAQUE, Scale, Shape};
use crate::table;
use crate::xml;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Bodies of one direction.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bodies {
    /// Messages without a body.
    pub absent: u64,
    pub media: Thinned<Content>,
}

/// Bodies of one media type.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Content {
    pub count: u64,
    /// Whole bodies that were not what the media type says.
    pub malformed: u64,
    /// The shape of each JSON value, or of the form as an object. Empty for other bodies.
    pub shape: Shape,
    /// What the kind of media needs beside that.
    pub notes: Notes,
}

/// How a media type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    /// One JSON value per line.
    JsonLines,
    Xml,
    Form,
    Multipart,
    /// Characters.
    Text,
    /// Octets.
    Binary,
}

impl Kind {
    pub(crate) fn of(media: &str) -> Kind {
        match media {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/json-seq"
            | "application/jsonlines" => Kind::JsonLines,
            "application/json" | "text/json" | "application/x-json" => Kind::Json,
            "application/x-www-form-urlencoded" => Kind::Form,
            "application/xml" | "text/xml" => Kind::Xml,
            // Pages and pictures: their elements say nothing of an API.
            "application/xhtml+xml" | "image/svg+xml" => Kind::Text,
            "application/javascript"
            | "application/graphql"
            | "application/yaml"
            | "application/x-yaml"
            | "application/sql" => Kind::Text,
            // Frames, whatever is in them.
            m if m.starts_with("application/grpc") => Kind::Binary,
            "application/csv" => Kind::Text,
            m if m.ends_with("+json") => Kind::Json,
            m if m.starts_with("multipart/") => Kind::Multipart,
            m if m.ends_with("+xml") => Kind::Xml,
            m if m.starts_with("text/") => Kind::Text,
            _ => Kind::Binary,
        }
    }

    /// Whether all values are texts, whatever they stand for.
    pub(crate) fn is_textual(self) -> bool {
        matches!(self, Kind::Form | Kind::Multipart | Kind::Xml)
    }
}

fn bound(scale: Scale) -> Bound {
    if scale > OPAQUE {
        Bound {
            charge: 0,
            entries: 0,
        }
    } else {
        Bound {
            charge: (320 * 1024) >> scale,
            entries: 8,
        }
    }
}

impl Bodies {
    pub(crate) fn learn(&mut self, message: &Message<'_>, scale: Scale, identities: &mut Seen) {
        if message.body.is_empty() {
            self.absent += 1;
            return;
        }
        let mut media = message.media_type();
        if media.is_empty() {
            media = guess(message.body.bytes).into();
        }
        let bound = bound(scale);
        let slot = self.media.slot(&media, bound);
        let content = self.media.at(slot);
        let before = content.charge();
        content.count += 1;
        let body = message.body;
        let mut read = |content: &mut Content| match Kind::of(&media) {
            Kind::Json => json::learn(
                &mut content.shape,
                body.bytes,
                body.complete,
                scale,
                identities,
            ),
            Kind::JsonLines => lines(
                &mut content.shape,
                body.bytes,
                body.complete,
                scale,
                identities,
            ),
            Kind::Xml => xml::learn(
                &mut content.shape,
                &mut content.notes,
                body.bytes,
                body.complete,
                scale,
            ),
            Kind::Form if scale < OPAQUE => forms::urlencoded(content, body, scale),
            Kind::Multipart if scale < OPAQUE => {
                let boundary = message
                    .text_header("content-type")
                    .and_then(forms::boundary);
                forms::multipart(content, body, boundary, scale, identities)
            }
            Kind::Text if table::separator(&media).is_some() => {
                table::learn(&mut content.notes, &media, body, scale);
                json::Read::Json
            }
            _ => json::Read::Json,
        };
        if read(content) == json::Read::Malformed {
            content.malformed += 1;
        }
        self.media.settle(slot, before, bound);
    }

    pub(crate) fn merge(&mut self, other: Bodies) {
        self.absent += other.absent;
        self.media.merge(other.media);
    }

    pub(crate) fn fit(&mut self, scale: Scale) {
        self.media.adjust(bound(scale), |c| {
            c.shape.fit(0, scale);
            c.notes.fit(scale);
        });
    }

    pub(crate) fn charge(&self) -> u32 {
        self.media.charge()
    }

    pub(crate) fn heap(&self) -> usize {
        self.media.heap()
    }

    /// Bodies there were.
    pub(crate) fn present(&self) -> u64 {
        self.media.iter().map(|(_, c)| c.count).sum::<u64>()
            + self.media.rest().map_or(0, |c| c.count)
    }
}

impl Entry for Content {
    fn merge(&mut self, other: Content) {
        self.count += other.count;
        self.malformed += other.malformed;
        self.shape.merge(other.shape);
        self.notes.merge(other.notes);
    }
    fn charge(&self) -> u32 {
        self.shape.charge() + self.notes.charge()
    }
    fn heap(&self) -> usize {
        self.shape.heap() + self.notes.heap()
    }
}

/// What a body without a media type is (RFC 9110, 8.3: the recipient may look).
fn guess(bytes: &[u8]) -> &'static str {
    match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{' | b'[') => "application/json",
        Some(b'<') if bytes.starts_with(b"<?xml") => "application/xml",
        _ => "application/octet-stream",
    }
}

fn lines(
    shape: &mut Shape,
    bytes: &[u8],
    complete: bool,
    scale: Scale,
    identities: &mut Seen,
) -> json::Read {
    let mut read = json::Read::Json;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (line, after, whole) = match memchr::memchr(b'\n', rest) {
            Some(at) => (
                rest.get(..at).unwrap_or(&[]),
                rest.get(at + 1..).unwrap_or(&[]),
                true,
            ),
            None => (rest, &[][..], complete),
        };
        // RFC 7464 puts a record separator before each value.
        let line = line.strip_prefix(b"\x1e").unwrap_or(line);
        if !line.iter().all(u8::is_ascii_whitespace)
            && json::learn(shape, line, whole, scale, identities) == json::Read::Malformed
        {
            read = json::Read::Malformed;
        }
        rest = after;
    }
    read
}

/// Splits `a=b&c=d` and undoes `+` and percent-encoding.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split('&').filter(|p| !p.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name, true), decode(value, true))
    })
}

/// Undoes percent-encoding (RFC 3986, 2.1); text that is not UTF-8 afterwards is replaced. `plus`: `+` is a blank.
pub(crate) fn decode(text: &str, plus: bool) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    while let Some(b) = bytes.get(at) {
        match (b, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if plus => out.push(b' '),
            _ => out.push(*b),
        }
        at += 1;
    }
    Cow::Owned(
        String::from_utf8(out)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format;
    use crate::observation::Body;

    fn check(content_type: &'static str, body: &'static str, members: &[&str]) {
        let headers = [("content-type", content_type.as_bytes())];
        let message = Message {
            headers: &headers,
            body: Body::whole(body.as_bytes()),
        };
        let mut bodies = Bodies::default();
        bodies.learn(&message, 0, &mut Seen::default());
        let (_, content) = bodies.media.iter().next().unwrap();
        let got: Vec<String> = content
            .shape
            .objects
            .iter()
            .flat_map(|o| o.members.iter())
            .map(|(n, p)| {
                let s = p.shape.strings.as_ref();
                let file = s.is_some_and(|s| s.formats & format::FILE != 0);
                format!(
                    "{n}{}",
                    if file {
                        ":file"
                    } else if s.is_none() {
                        ":json"
                    } else {
                        ""
                    }
                )
            })
            .collect();
        assert_eq!(got, members, "{body}");
    }

    #[test]
    fn forms_become_members() {
        check(
            "application/x-www-form-urlencoded",
            "user=ada+l&pass=%41",
            &["pass", "user"],
        );
        check(
            "multipart/form-data; boundary=\"xX\"",
            "--xX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHi\r\n--xX\r\nContent-Disposition: form-data; name=\"cover\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x00\r\n--xX\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n--xX--\r\n",
            &["cover:file", "meta:json", "title"],
        );
        check("multipart/form-data", "--xX\r\n", &[]);
        check("application/vnd.api+json", "{\"data\":[]}", &["data:json"]);
        check(
            "application/x-ndjson",
            "{\"a\":1}\n{\"b\":2}\n",
            &["a:json", "b:json"],
        );
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(decode("a%20b%zz%C3%A9+", true), "a b%zzé ");
        assert_eq!(decode("%", false), "%");
        assert_eq!(decode("%ff", false), "\u{fffd}");
    }
}
