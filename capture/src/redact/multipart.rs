//! Bodies in parts, as browsers send forms with files (RFC 7578, RFC 2046 section 5.1).
//!
//! In: the body, possibly cut off, and its boundary. Out: the body with each part redacted as what it is: a secret field by
//! its name, a field or text file by its own content type. The content of any other file is left out: nobody can redact
//! it and no document needs it. A body whose parts cannot be found is left out as a whole.

use memchr::{memchr, memmem};

use super::edits::Edits;
use super::{Format, Redaction, fields, pairs, placeholder, xml};
use crate::pattern::media_type;

/// Redacts a body in parts. `false`: there was nothing to do and nothing was written.
pub(crate) fn redact(
    rules: &Redaction,
    boundary: &[u8],
    body: &[u8],
    cut: bool,
    out: &mut Vec<u8>,
) -> bool {
    let Some(delimiter) = delimiter(boundary, body) else {
        return !body.is_empty();
    };
    let mut edits = Edits::new(body, out);
    // What comes before the first delimiter is not for anybody to read.
    let first = memmem::find(body, &delimiter).unwrap_or(body.len());
    if first > 0 {
        edits.replace(0, first, |_, _| {});
    }
    let mut at = first + delimiter.len();
    while let Some(rest) = body
        .get(at..)
        .filter(|rest| !rest.is_empty() && !rest.starts_with(b"--"))
    {
        let length = memmem::find(rest, &delimiter);
        let end = at + length.unwrap_or(rest.len());
        part(rules, &mut edits, at, end, cut && length.is_none());
        at = end + delimiter.len();
    }
    // Nor what comes after the last.
    if at + 4 < body.len() {
        edits.replace(at + 4, body.len(), |_, _| {});
    }
    edits.finish()
}

/// `--boundary`: from the content type, or the body's first line when it was lost.
fn delimiter(boundary: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let named = [b"--", boundary].concat();
    if !boundary.is_empty() && memmem::find(body, &named).is_some() {
        return Some(named);
    }
    let line = body.get(..memchr(b'\n', body)?)?.trim_ascii_end();
    (line.starts_with(b"--") && (3..=74).contains(&line.len())).then(|| line.to_vec())
}

/// Redacts the part whose header begins in the rest of the delimiter's line, at `start`.
fn part(rules: &Redaction, edits: &mut Edits<'_, '_>, start: usize, end: usize, cut: bool) {
    let Some(part) = edits.input().get(start..end) else {
        return;
    };
    let blank = memmem::find(part, b"\r\n\r\n")
        .map(|at| (at, 4))
        .or_else(|| memmem::find(part, b"\n\n").map(|at| (at, 2)));
    let Some((head_end, blank)) = blank else {
        // No content, or a head that was cut off; either way there is nothing to learn from it.
        return edits.replace(start, end, |_, _| {});
    };
    let head = Head::parse(part.get(..head_end).unwrap_or_default());
    let start = start + head_end + blank;
    let content = edits.input().get(start..end).unwrap_or_default();
    // The line break before the delimiter belongs to the delimiter.
    let content = match cut {
        true => content,
        false => content
            .strip_suffix(b"\n")
            .map(|c| c.strip_suffix(b"\r").unwrap_or(c))
            .unwrap_or(content),
    };
    let end = start + content.len();
    if content.is_empty() {
        return;
    }
    if rules.fields.contains(head.name) {
        return edits.replace(start, end, placeholder::put);
    }
    let mut redacted = Vec::new();
    let changed = match head.format() {
        None => true,
        Some(Format::Form) => pairs::redact(&rules.fields, content, cut, &mut redacted),
        Some(format) => match format.sniffed(content) {
            Format::Xml => xml::redact(&rules.fields, content, cut, &mut redacted),
            _ => fields::redact(&rules.fields, content, cut, &mut redacted),
        },
    };
    if changed {
        edits.replace(start, end, |_, out| out.extend_from_slice(&redacted));
    }
}

/// What a part's header says about it.
#[derive(Default)]
struct Head<'a> {
    name: &'a [u8],
    is_file: bool,
    media: &'a [u8],
    coded: bool,
}

impl<'a> Head<'a> {
    fn parse(text: &'a [u8]) -> Head<'a> {
        let mut head = Head::default();
        for line in text.split(|b| *b == b'\n') {
            let Some(colon) = memchr(b':', line) else {
                continue;
            };
            let (field, value) = line.split_at_checked(colon).unwrap_or_default();
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if field
                .trim_ascii()
                .eq_ignore_ascii_case(b"content-disposition")
            {
                head.name = parameter(value, b"name").unwrap_or_default();
                head.is_file = parameter(value, b"filename").is_some()
                    || parameter(value, b"filename*").is_some();
            } else if field.trim_ascii().eq_ignore_ascii_case(b"content-type") {
                head.media = media_type(value);
            } else if field
                .trim_ascii()
                .eq_ignore_ascii_case(b"content-transfer-encoding")
            {
                head.coded = value.eq_ignore_ascii_case(b"base64")
                    || value.eq_ignore_ascii_case(b"quoted-printable");
            }
        }
        head
    }

    /// What the part is redacted as; `None`: as nothing, it is left out.
    fn format(&self) -> Option<Format> {
        let starts = |text: &[u8]| {
            self.media
                .get(..text.len())
                .is_some_and(|m| m.eq_ignore_ascii_case(text))
        };
        let ends = |text: &[u8]| {
            self.media
                .get(self.media.len().saturating_sub(text.len())..)
                .is_some_and(|m| m.eq_ignore_ascii_case(text))
        };
        let is_text = if self.media.is_empty() {
            !self.is_file
        } else {
            starts(b"text/") || ends(b"json") || ends(b"xml")
        };
        let format = Format::of(self.media);
        ((is_text || format == Format::Form) && !self.coded && format != Format::Multipart)
            .then_some(format)
    }
}

/// A parameter's value, without its quotes: `name="a"; filename=b`.
pub(crate) fn parameter<'a>(value: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = value.get(memchr(b';', value)? + 1..)?;
    loop {
        let equals = memchr(b'=', rest)?;
        let name = rest.get(..equals)?.trim_ascii();
        // A parameter without a value before this one.
        let name = name
            .rsplit(|b| *b == b';')
            .next()
            .unwrap_or(name)
            .trim_ascii();
        rest = rest.get(equals + 1..)?.trim_ascii_start();
        let (found, after) = if let Some(quoted) = rest.strip_prefix(b"\"") {
            let end = memchr(b'"', quoted).unwrap_or(quoted.len());
            (quoted.get(..end)?, quoted.get(end..).unwrap_or_default())
        } else {
            let end = memchr(b';', rest).unwrap_or(rest.len());
            (
                rest.get(..end)?.trim_ascii_end(),
                rest.get(end..).unwrap_or_default(),
            )
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(found);
        }
        rest = after.get(memchr(b';', after)? + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(boundary: &str, body: &str, cut: bool) -> String {
        let policy = crate::Settings::default().build().unwrap();
        let mut out = Vec::new();
        if redact(
            &policy.redaction,
            boundary.as_bytes(),
            body.as_bytes(),
            cut,
            &mut out,
        ) {
            String::from_utf8(out).unwrap()
        } else {
            body.to_owned()
        }
    }

    const BODY: &str = "--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nada\r\n\
        --b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n\
        --b\r\nContent-Disposition: form-data; name=meta\r\nContent-Type: application/json\r\n\r\n{\"token\":\"abc\"}\r\n\
        --b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nPNG hunter2\r\n\
        --b--\r\n";

    #[test]
    fn each_part_is_redacted_as_what_it_is() {
        let wanted = BODY
            .replace("\r\nhunter2", "\r\nxxxxxxx")
            .replace("\"abc\"", "\"xxx\"")
            .replace("PNG hunter2", "");
        assert_eq!(redacted("b", BODY, false), wanted);
        assert_eq!(redacted("", BODY, false), wanted);
        assert_eq!(redacted("other", BODY, false), wanted);
    }

    #[test]
    fn cut_off_anywhere_nothing_leaks() {
        for end in 0..BODY.len() {
            let out = redacted("b", &BODY[..end], true);
            assert!(
                !out.contains("hunter") && !out.contains("abc") && !out.contains("hunt"),
                "{end}: {out}"
            );
        }
    }

    #[test]
    fn without_parts_nothing_is_kept() {
        assert_eq!(redacted("b", "password hunter2", false), "");
        assert_eq!(
            redacted("b", "hunter2\r\n--b\r\n\r\nx\r\n--b--\r\nhunter2", false),
            "--b\r\n\r\nx\r\n--b--\r\n"
        );
    }

    #[test]
    fn parameters() {
        let value = b"form-data; a; name=\"x;y=z\"; filename=q.txt ";
        assert_eq!(parameter(value, b"name"), Some(b"x;y=z".as_slice()));
        assert_eq!(parameter(value, b"FILENAME"), Some(b"q.txt".as_slice()));
        assert_eq!(parameter(value, b"y"), None);
        assert_eq!(parameter(b"text/plain", b"charset"), None);
    }
}
