//! Named values in JSON and in text that resembles it: NDJSON, event streams, GraphQL, logs, URLs, JSON inside a string.
//!
//! In: bytes, complete or cut off anywhere. Out: edits of the values whose names are in the set. It builds no tree and
//! has no notion of a syntax error: whatever looks like a name followed by `:` or `=` is one, so that a body which is
//! cut off, mislabelled or broken is redacted as far as it goes. JSON that was valid stays valid.
//!
//! [`suspicious`] decides first, at the speed of memchr, whether there is anything to do; usually there is not.

use memchr::{memchr, memchr2, memchr2_iter, memmem, memrchr};

use super::detect;
use super::edits::Edits;
use super::escapes::{escape, unescape};
use super::is_auth_scheme;
use super::names::Names;
use super::placeholder;

/// JSON in a string in JSON in a string …: beyond this many levels the whole string is replaced.
const DEEPEST: u8 = 4;
/// No name is longer, whatever surrounds it.
const LONGEST_NAME: usize = 512;

/// Redacts `input` by names and by what secrets look like. `false`: there was nothing to do and nothing was written.
pub(crate) fn redact(names: &Names, input: &[u8], cut: bool, out: &mut Vec<u8>) -> bool {
    redact_at(names, input, cut, 0, out)
}

fn redact_at(names: &Names, input: &[u8], cut: bool, depth: u8, out: &mut Vec<u8>) -> bool {
    if !suspicious(names, input, cut) {
        return false;
    }
    let mut named = Vec::new();
    let mut edits = Edits::new(input, &mut named);
    Scan {
        names,
        end: input.len(),
        cut,
        depth,
    }
    .scan(&mut edits, 0);
    let changed = edits.finish();
    finish(input, named, changed, cut, out)
}

/// The second pass: what was edited by name, or the input, is searched for secrets without a name.
pub(crate) fn finish(
    input: &[u8],
    named: Vec<u8>,
    changed: bool,
    cut: bool,
    out: &mut Vec<u8>,
) -> bool {
    let text = if changed { named.as_slice() } else { input };
    let mut edits = Edits::new(text, out);
    detect::scrub(&mut edits, 0, text.len(), cut);
    if edits.finish() {
        return true;
    }
    if changed {
        out.extend_from_slice(&named);
    }
    changed
}

/// Whether [`redact`] could change anything: no false negatives, few false positives.
pub(crate) fn suspicious(names: &Names, text: &[u8], cut: bool) -> bool {
    has_named_value(names, text, cut) || detect::may_contain(text, cut)
}

/// Whether there could be a named value, a URL with a password, or an escape that could hide one.
pub(crate) fn has_named_value(names: &Names, text: &[u8], cut: bool) -> bool {
    let obscured = has_escape(text);
    any_mark(text, |at| {
        let (before, after) = text.split_at_checked(at).unwrap_or_default();
        match before {
            // The usual end of a JSON name, first because it decides about speed; then `12:30`, `max-age=1`.
            [name @ .., b'"'] if !obscured && !name.ends_with(b"\\") => names.may_end(name),
            [.., b'a'..=b'z' | b'0'..=b'9'] if !obscured && !is_url(after) => names.may_end(before),
            _ => may_be_named(names, before, after, obscured, cut),
        }
    })
}

/// Whether `wanted` holds for the position of some `:` or `=`. Eight bytes at a time: there are too many of them in JSON
/// for memchr to be worth its calls.
#[inline]
fn any_mark(text: &[u8], mut wanted: impl FnMut(usize) -> bool) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of each byte that is zero, and perhaps of some that follow one.
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let is_mark = |byte: u8| byte == b':' || byte == b'=';
    let (words, tail) = text.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
    for index in 0..=words.len() {
        let bytes = words.get(index).copied().unwrap_or(last);
        let word = u64::from_le_bytes(bytes);
        let mut found = zeros(word ^ (LOW * b':' as u64)) | zeros(word ^ (LOW * b'=' as u64));
        while found != 0 {
            let shift = found.trailing_zeros() & !7;
            if is_mark((word >> shift) as u8) && wanted(index * 8 + shift as usize / 8) {
                return true;
            }
            found &= found - 1;
        }
    }
    false
}

/// Whether there is an escape that could stand for a letter: `\u0070`, `%70`.
fn has_escape(text: &[u8]) -> bool {
    memchr2_iter(b'\\', b'%', text).any(|at| {
        let escape = text.get(at..).unwrap_or_default();
        escape.starts_with(b"%") || escape.starts_with(b"\\u")
    })
}

fn may_be_named(names: &Names, before: &[u8], after: &[u8], obscured: bool, cut: bool) -> bool {
    if is_url(after) && userinfo(after, cut).is_some() {
        return true;
    }
    let mut name = before.trim_ascii_end();
    while let [rest @ .., b'"' | b'\'' | b'\\' | b']'] = name {
        name = rest;
    }
    // The last three characters decide; encoded they take at most 18 bytes.
    let tail = name.get(name.len().saturating_sub(18)..).unwrap_or(name);
    names.may_end(name) || (obscured && memchr2(b'\\', b'%', tail).is_some())
}

/// Whether the colon `text` begins with is that of `https://`, or of `https:\/\/` in JSON.
fn is_url(text: &[u8]) -> bool {
    text.starts_with(b"://") || text.starts_with(b":\\/")
}

/// The range of `user:password` in `://user:password@host…`, which `text` begins with (or with `:\/\/`).
fn userinfo(text: &[u8], cut: bool) -> Option<std::ops::Range<usize>> {
    let start = 1 + text
        .iter()
        .skip(1)
        .take_while(|b| matches!(b, b'/' | b'\\'))
        .count();
    let authority = text.get(start..)?;
    let authority = authority.get(..2048).unwrap_or(authority);
    let length = authority
        .iter()
        .position(|b| b.is_ascii_whitespace() || b"/\\?#\"'<>,".contains(b))
        .unwrap_or(authority.len());
    let is_cut = cut && start + length == text.len();
    let authority = authority.get(..length)?;
    if let Some(at) = memrchr(b'@', authority) {
        return Some(start..start + at).filter(|range| !range.is_empty());
    }
    // Cut off before the `@`: a colon that is not followed by a port may begin a password.
    let colon = memchr(b':', authority)?;
    is_cut
        .then_some(start + colon + 1..start + length)
        .filter(|range| !range.is_empty())
}

/// One pass over `..end` of the edits' input.
struct Scan<'r> {
    names: &'r Names,
    end: usize,
    /// The text goes on beyond `end`, but was not kept.
    cut: bool,
    depth: u8,
}

impl Scan<'_> {
    fn at(&self, text: &[u8], at: usize) -> Option<u8> {
        if at < self.end {
            text.get(at).copied()
        } else {
            None
        }
    }

    fn rest<'t>(&self, text: &'t [u8], at: usize) -> &'t [u8] {
        text.get(at..self.end).unwrap_or_default()
    }

    fn skip_space(&self, text: &[u8], mut at: usize) -> usize {
        while self.at(text, at).is_some_and(|b| b.is_ascii_whitespace()) {
            at += 1;
        }
        at
    }

    /// Where the string that begins at `at` (after its quote) ends: at the quote, or at the end of the text.
    fn string_end(&self, text: &[u8], mut at: usize, quote: u8) -> usize {
        loop {
            match memchr2(quote, b'\\', self.rest(text, at)) {
                Some(found) if text.get(at + found) == Some(&quote) => return at + found,
                Some(found) => at += found + 2,
                None => return self.end,
            }
            if at >= self.end {
                return self.end;
            }
        }
    }

    fn word_end(&self, text: &[u8], at: usize, belongs: impl Fn(u8) -> bool) -> usize {
        at + self
            .rest(text, at)
            .iter()
            .take_while(|b| belongs(**b))
            .count()
    }

    fn scan(&self, edits: &mut Edits<'_, '_>, mut at: usize) {
        let text = edits.input();
        while let Some(byte) = self.at(text, at) {
            at = match byte {
                b'"' => self.string(edits, at),
                b':' => {
                    let after = self.rest(text, at);
                    let cut = self.cut && self.end == text.len();
                    if let Some(range) = userinfo(after, cut).filter(|_| is_url(after)) {
                        edits.replace(at + range.start, at + range.end, |_, out| {
                            out.extend_from_slice(placeholder::USERINFO);
                        });
                        at += range.end;
                        continue;
                    }
                    at + 1
                }
                _ if is_name_byte(byte) => {
                    let end = self.word_end(text, at, is_name_byte);
                    let mut after = end;
                    while self
                        .at(text, after)
                        .is_some_and(|b| matches!(b, b']' | b'[' | b'\'' | b'"' | b'\\'))
                    {
                        after += 1;
                    }
                    let after = self.skip_space(text, after);
                    match self.at(text, after) {
                        Some(b':' | b'=')
                            if self.is_secret(text.get(at..end).unwrap_or_default()) =>
                        {
                            self.value(edits, after + 1, false)
                        }
                        _ => end,
                    }
                }
                _ => at + 1,
            };
        }
    }

    /// A quoted string at `at`: a name, whose value is redacted if it must be, or a value of its own.
    fn string(&self, edits: &mut Edits<'_, '_>, at: usize) -> usize {
        let text = edits.input();
        let end = self.string_end(text, at + 1, b'"');
        let content = text.get(at + 1..end).unwrap_or_default();
        let after = self.skip_space(text, end + 1);
        if self.at(text, after) == Some(b':') {
            if self.is_secret(content) {
                return self.value(edits, after + 1, true);
            }
            // The name of a map's entry may be a URL or JSON itself.
            if memchr2(b':', b'=', content).is_some() {
                self.inner(edits, at + 1, end);
            }
            return after + 1;
        }
        if content.len() >= 4 {
            self.inner(edits, at + 1, end);
        }
        end + 1
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let name = name
            .get(name.len().saturating_sub(LONGEST_NAME)..)
            .unwrap_or(name);
        if memchr2(b'\\', b'%', name).is_none() {
            return self.names.contains(name);
        }
        let mut decoded = Vec::new();
        unescape(name, &mut decoded);
        let mut plain = Vec::new();
        super::pairs::percent_decode(&decoded, &mut plain);
        self.names.contains(&plain)
    }

    /// What a string holds: a URL, JSON, a query. Its quotes are not part of `start..end`.
    fn inner(&self, edits: &mut Edits<'_, '_>, start: usize, end: usize) {
        let Some(content) = edits.input().get(start..end) else {
            return;
        };
        let cut = self.cut && end == edits.input().len();
        let escaped = memchr(b'\\', content).is_some();
        let hidden = escaped && memmem::find(content, b"\\u").is_some();
        if !hidden && !has_named_value(self.names, content, cut) {
            return;
        }
        if self.depth >= DEEPEST {
            return edits.replace(start, end, placeholder::put);
        }
        if !escaped {
            // Only what stands between the quotes is looked at, and nothing that needs an escape is put there.
            return Scan {
                names: self.names,
                end,
                cut,
                depth: self.depth + 1,
            }
            .scan(edits, start);
        }
        let mut plain = Vec::new();
        unescape(content, &mut plain);
        let mut redacted = Vec::new();
        if redact_at(self.names, &plain, cut, self.depth + 1, &mut redacted) {
            edits.replace(start, end, |_, out| escape(&redacted, out));
        }
    }

    /// Redacts the value that begins at `at`, and says where it ends.
    fn value(&self, edits: &mut Edits<'_, '_>, at: usize, quoted_name: bool) -> usize {
        let text = edits.input();
        let at = self.skip_space(text, at);
        let Some(first) = self.at(text, at) else {
            return at;
        };
        match first {
            b'"' if self.rest(text, at).starts_with(b"\"\"\"") => {
                // A GraphQL block string.
                let length = memmem::find(self.rest(text, at + 3), b"\"\"\"");
                let end = length.map_or(self.end, |length| at + 3 + length);
                edits.replace(at + 3, end, put_string);
                end + 3
            }
            b'"' | b'\'' => {
                let end = self.string_end(text, at + 1, first);
                edits.replace(at + 1, end, put_string);
                end + 1
            }
            b'\\' => {
                // A string within a string that was not seen as one.
                let start = self.word_end(text, at, |b| matches!(b, b'\\' | b'"' | b'\''));
                let end = self.word_end(text, start, |b| !matches!(b, b'\\' | b'"' | b'\''));
                edits.replace(start, end, put_string);
                end
            }
            b'{' | b'[' => self.container(edits, at),
            b'$' => self.word_end(text, at + 1, is_name_byte),
            _ => {
                let end = self.bare_end(text, at, quoted_name);
                let word = text.get(at..end).unwrap_or_default();
                if is_auth_scheme(word) && self.at(text, end) == Some(b' ') {
                    let start = self.skip_space(text, end);
                    let end = self.bare_end(text, start, quoted_name);
                    edits.replace(start, end, placeholder::put);
                    return end;
                }
                if !word.is_empty() {
                    edits.replace(at, end, placeholder::put_literal);
                }
                end
            }
        }
    }

    /// The end of a value without quotes.
    fn bare_end(&self, text: &[u8], at: usize, quoted_name: bool) -> usize {
        let json = |b: u8| b.is_ascii_whitespace() || b",}]\"".contains(&b);
        let end = self.word_end(text, at, |b| match quoted_name {
            true => !json(b),
            false => !b.is_ascii_whitespace() && !b"&;\"'<>#\\".contains(&b),
        });
        // `pin: 1234)`: a number ends where a number ends.
        let number = self.word_end(text, at, |b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        match self.at(text, number) {
            Some(b',' | b')' | b'}' | b']') if number > at && number < end => number,
            _ => end,
        }
    }

    /// Redacts every value of an object or array; its names stay.
    fn container(&self, edits: &mut Edits<'_, '_>, mut at: usize) -> usize {
        let text = edits.input();
        let mut depth = 0usize;
        while let Some(byte) = self.at(text, at) {
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return at + 1;
                    }
                }
                b'"' => {
                    let end = self.string_end(text, at + 1, b'"');
                    let after = self.skip_space(text, end + 1);
                    if self.at(text, after) == Some(b':') {
                        at = after + 1;
                    } else {
                        edits.replace(at + 1, end, put_string);
                        at = end + 1;
                    }
                    continue;
                }
                b',' | b':' => {}
                _ if byte.is_ascii_whitespace() => {}
                _ => {
                    let end = self.word_end(text, at, |b| {
                        !b.is_ascii_whitespace() && !b",:{}[]\"".contains(&b)
                    });
                    let after = self.skip_space(text, end);
                    if self.at(text, after) != Some(b':') {
                        edits.replace(at, end, placeholder::put_literal);
                    }
                    at = end;
                    continue;
                }
            }
            at += 1;
        }
        at
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte == b'_'
        || byte == b'-'
        || byte == b'.'
        || byte == b'%'
        || byte >= 0x80
}

/// The placeholder for what stands between two quotes.
fn put_string(content: &[u8], out: &mut Vec<u8>) {
    if memchr(b'\\', content).is_none() {
        return placeholder::put(content, out);
    }
    let mut plain = Vec::new();
    unescape(content, &mut plain);
    placeholder::put(&plain, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, cut: bool) -> String {
        let mut names = Names::default();
        for name in ["*password", "*token", "pin", "card", "authorization"] {
            names.add(name).unwrap();
        }
        let mut out = Vec::new();
        if redact(&names, text.as_bytes(), cut, &mut out) {
            String::from_utf8(out).unwrap()
        } else {
            assert_eq!(out, b"");
            text.to_owned()
        }
    }

    #[test]
    fn values_go_and_the_rest_stays() {
        for (text, wanted) in [
            (
                r#"{"a":1,"password":"hunter2","b":[true]}"#,
                r#"{"a":1,"password":"xxxxxxx","b":[true]}"#,
            ),
            (
                r#"{"user_Pass-word" : "a\"b\\" , "c":"d"}"#,
                r#"{"user_Pass-word" : "xxxx" , "c":"d"}"#,
            ),
            (r#"{"p\u0061ssword":"s"}"#, r#"{"p\u0061ssword":"x"}"#),
            (r#"{"pin":1234,"x":5}"#, r#"{"pin":1111,"x":5}"#),
            (
                r#"{"pin":true,"token":null}"#,
                r#"{"pin":true,"token":null}"#,
            ),
            (
                r#"{"card":{"number":"4242","cvc":123,"tags":["a",-1.5,{"deep":"z"}]},"ok":"y"}"#,
                r#"{"card":{"number":"1111","cvc":111,"tags":["x",-1.1,{"deep":"x"}]},"ok":"y"}"#,
            ),
            (
                "{\"a\":1}\n{\"token\":\"t\"}\n",
                "{\"a\":1}\n{\"token\":\"x\"}\n",
            ),
            (
                "data: {\"token\": \"abc\"}\n\n",
                "data: {\"token\": \"xxx\"}\n\n",
            ),
            (
                r#"{"url":"https://x/cb?a=1&access_token=abc#f","n":2}"#,
                r#"{"url":"https://x/cb?a=1&access_token=xxx#f","n":2}"#,
            ),
            (
                r#"{"db":"ftp://me:pw@host/x"}"#,
                r#"{"db":"ftp://redacted:redacted@host/x"}"#,
            ),
            (
                r#"{"db":"https:\/\/me:pw@host\/x"}"#,
                r#"{"db":"https://redacted:redacted@host/x"}"#,
            ),
            (
                r#"{"raw":"{\"password\":\"hunter2\"}"}"#,
                r#"{"raw":"{\"password\":\"xxxxxxx\"}"}"#,
            ),
            (
                r#"{"query":"mutation { login(password: \"hunter2\", pin: 12) { id } }"}"#,
                r#"{"query":"mutation { login(password: \"xxxxxxx\", pin: 11) { id } }"}"#,
            ),
            (
                "mutation { login(password: \"\"\"a\nb\"\"\") }",
                "mutation { login(password: \"\"\"xxx\"\"\") }",
            ),
            (
                "mutation($p: String) { login(password: $p) }",
                "mutation($p: String) { login(password: $p) }",
            ),
            (
                "Authorization: Bearer abc def",
                "Authorization: Bearer xxx def",
            ),
            ("user[password]=hunter2&x=1", "user[password]=xxxxxxx&x=1"),
            ("{'password': 'hunter2'}", "{'password': 'xxxxxxx'}"),
            (
                r#"{"n":4111111111111111,"s":"4111111111111111"}"#,
                r#"{"n":1111111111111111,"s":"1111111111111111"}"#,
            ),
        ] {
            assert_eq!(redacted(text, false), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_is_redacted_as_far_as_it_goes() {
        for (text, wanted) in [
            (r#"{"password":"hun"#, r#"{"password":"xxx"#),
            (r#"{"password":"hun\"#, r#"{"password":"xxxx"#),
            (r#"{"password"#, r#"{"password"#),
            (r#"{"card":{"a":"b","c"#, r#"{"card":{"a":"x","x"#),
            (
                r#"{"u":"https://me:hun"#,
                r#"{"u":"https://me:redacted:redacted"#,
            ),
            (r#"{"a":"41111111"#, r#"{"a":"11111111"#),
        ] {
            assert_eq!(redacted(text, true), wanted, "{text}");
        }
    }

    #[test]
    fn strings_in_strings_end_somewhere() {
        let mut text = r#"{"password":"hunter2"}"#.to_owned();
        for _ in 0..8 {
            text = serde_json::json!({ "s": text }).to_string();
        }
        let out = redacted(&text, false);
        assert!(
            !out.contains("hunter2") && serde_json::from_str::<serde_json::Value>(&out).is_ok(),
            "{out}"
        );
    }
}
