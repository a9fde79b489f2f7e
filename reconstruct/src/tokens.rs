//! JSON text as a list of tokens, checked on the way.
//!
//! In: text, whole or cut off. Out: what stands there as positions in the text, in order; each array and object knows where it
//! ends. It never recurses, never copies a string, and never accepts what RFC 8259 does not (as `serde_json`, it lets lone
//! surrogates pass).
//!
//! Learning a body changes a shape in place, so it must be known to be JSON before the first change. Checking and learning in
//! two passes over the text would look for the end of every string twice; the list between them costs less than that.

/// What stands at a place of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    /// A number without fraction and exponent, in the range of 32 bits.
    Integer,
    /// One that is not.
    Wide,
    /// A number with a fraction or an exponent.
    Number,
    /// Characters between quotes, as they stand there.
    String,
    /// Characters between quotes, with escapes to be undone.
    Escaped,
    Array,
    /// Its members follow: each a string, and its value unless the text was cut off before it.
    Object,
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    /// Bytes from the start of the text; strings without their quotes.
    pub start: u32,
    /// Bytes from the start of the text; of arrays and objects the index of the first token behind them.
    pub end: u32,
}

/// The tokens of `text`; `None` if it claims to be whole and is no JSON. Of a text that was cut off: what is whole before
/// the cut, or before the first thing that is no JSON.
pub(crate) fn scan(text: &str, whole: bool) -> Option<Vec<Token>> {
    // Positions have 32 bits; what is behind them counts as cut off.
    let mut most = text.len().min(u32::MAX as usize);
    let whole = whole && most == text.len();
    while !text.is_char_boundary(most) {
        most -= 1;
    }
    let text = text.get(..most).unwrap_or("");
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
        whole,
        // Short values are rare enough that this hardly ever grows.
        tokens: Vec::with_capacity(text.len() / 10 + 8),
        open: Vec::new(),
    };
    let read = scanner.all();
    if whole && read.is_none() {
        return None;
    }
    while scanner.close().is_some() {}
    Some(scanner.tokens)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    whole: bool,
    tokens: Vec<Token>,
    /// Indices of the arrays and objects that are not closed.
    open: Vec<u32>,
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The high bit of each zero byte; above the first one bits may be set wrongly.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

impl Scanner<'_> {
    fn all(&mut self) -> Option<()> {
        loop {
            self.value()?;
            loop {
                let Some(&open) = self.open.last() else {
                    return (self.next().is_none() && self.at >= self.bytes.len()).then_some(());
                };
                let object = self.tokens.get(open as usize)?.kind == Kind::Object;
                match (self.next()?, object) {
                    (b',', true) => {
                        self.at += 1;
                        self.name()?;
                        break;
                    }
                    (b',', false) => {
                        self.at += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        self.close();
                    }
                    _ => return None,
                }
            }
        }
    }

    /// The next byte that is no blank, without passing it.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                b => return Some(*b),
            }
        }
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        self.tokens.push(Token {
            kind,
            start: start as u32,
            end: end as u32,
        });
    }

    /// One value that is no container, or the beginning of one up to where its first value stands.
    #[inline]
    fn value(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                b'"' => return self.string(),
                b'{' => {
                    self.begin(Kind::Object);
                    if self.next()? != b'}' {
                        self.name()?;
                        continue;
                    }
                    self.at += 1;
                    self.close();
                }
                b'[' => {
                    self.begin(Kind::Array);
                    if self.next()? != b']' {
                        continue;
                    }
                    self.at += 1;
                    self.close();
                }
                b't' => self.word(b"true", Kind::Boolean)?,
                b'f' => self.word(b"false", Kind::Boolean)?,
                b'n' => self.word(b"null", Kind::Null)?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return None,
            }
            return Some(());
        }
    }

    fn begin(&mut self, kind: Kind) {
        self.open.push(self.tokens.len() as u32);
        self.push(kind, self.at, 0);
        self.at += 1;
    }

    fn close(&mut self) -> Option<()> {
        let open = self.open.pop()?;
        let end = self.tokens.len() as u32;
        self.tokens.get_mut(open as usize)?.end = end;
        Some(())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Option<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end)? != word {
            return None;
        }
        self.push(kind, self.at, end);
        self.at = end;
        Some(())
    }

    /// A member's name and the colon behind it; both or nothing.
    #[inline]
    fn name(&mut self) -> Option<()> {
        if self.next()? != b'"' {
            return None;
        }
        self.string()?;
        if self.next() != Some(b':') {
            self.tokens.pop();
            return None;
        }
        self.at += 1;
        Some(())
    }

    #[inline]
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        let start = self.at;
        let mut kind = Kind::String;
        loop {
            self.plain();
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.push(kind, start, self.at);
                    self.at += 1;
                    return Some(());
                }
                b'\\' => {
                    kind = Kind::Escaped;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    /// Passes over characters that need no look: up to a quote, a backslash, a control character or the end.
    #[inline]
    fn plain(&mut self) {
        while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*chunk);
            let quote = zeros(word ^ (ONES * 0x22));
            let escape = zeros(word ^ (ONES * 0x5c));
            let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
            let stop = quote | escape | control;
            if stop != 0 {
                self.at += (stop.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while let Some(b) = self.bytes.get(self.at)
            && !matches!(b, b'"' | b'\\' | 0..0x20)
        {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    /// Passes over digits; how many there were.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let negative = self.bytes.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let zero = self.bytes.get(self.at) == Some(&b'0');
        let digits = self.digits();
        if digits == 0 || (zero && digits > 1) {
            return None;
        }
        let mut kind = Kind::Integer;
        if digits > 9 && !self.narrow(start) {
            kind = Kind::Wide;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            kind = Kind::Number;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            kind = Kind::Number;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        // The next digits may be behind the cut.
        if self.at == self.bytes.len() && !self.whole {
            return None;
        }
        self.push(kind, start, self.at);
        Some(())
    }

    fn narrow(&self, start: usize) -> bool {
        self.bytes
            .get(start..self.at)
            .and_then(|b| std::str::from_utf8(b).ok())
            .is_some_and(|t| t.parse::<i32>().is_ok())
    }
}

/// The characters of an [`Kind::Escaped`] string. Lone surrogates become U+FFFD.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, tail)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let (c, length) = character(tail);
                out.push(c);
                rest = tail.get(length..).unwrap_or("");
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// The character of `uXXXX`, perhaps with the second half of a pair behind it, and how many bytes that are.
fn character(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        text.get(at..at + 4)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let Some(high) = unit(1) else {
        return ('\u{fffd}', text.len());
    };
    if (0xd800..0xdc00).contains(&high)
        && text.get(5..7) == Some("\\u")
        && let Some(low) = unit(7)
        && (0xdc00..0xe000).contains(&low)
    {
        let c = char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
        return (c.unwrap_or('\u{fffd}'), 11);
    }
    (char::from_u32(high).unwrap_or('\u{fffd}'), 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Containers as brackets, strings quoted and unescaped, the rest as in the text.
    fn draw(text: &str, whole: bool) -> Option<String> {
        fn one(text: &str, tokens: &[Token], at: &mut usize, out: &mut String) {
            let Some(token) = tokens.get(*at) else { return };
            *at += 1;
            let piece = || &text[token.start as usize..token.end as usize];
            match token.kind {
                Kind::Array | Kind::Object => {
                    out.push(if token.kind == Kind::Array { '[' } else { '{' });
                    while *at < token.end as usize {
                        one(text, tokens, at, out);
                        out.push(' ');
                    }
                    out.push(if token.kind == Kind::Array { ']' } else { '}' });
                }
                Kind::String => out.push_str(&format!("{:?}", piece())),
                Kind::Escaped => out.push_str(&format!("{:?}", unescape(piece()))),
                Kind::Wide => out.push_str("wide"),
                Kind::Number => out.push_str("number"),
                _ => out.push_str(piece()),
            }
        }
        let tokens = scan(text, whole)?;
        let (mut at, mut out) = (0, String::new());
        one(text, &tokens, &mut at, &mut out);
        assert_eq!(at, tokens.len(), "{text}");
        Some(out)
    }

    fn check(text: &str, whole: bool, expected: Option<&str>) {
        assert_eq!(draw(text, whole).as_deref(), expected, "{text}");
    }

    #[test]
    fn a_whole_text_is_listed() {
        check(
            r#" {"a" : [1, -2.5e3, true,null], "b":{} ,"c":[]} "#,
            true,
            Some(r#"{"a" [1 number true null ] "b" {} "c" [] }"#),
        );
        check(
            "[2147483647,2147483648,-2147483648]",
            true,
            Some("[2147483647 wide -2147483648 ]"),
        );
        check(
            r#""\u00e9\n\ud83e\udd80\ud800x\/""#,
            true,
            Some("\"é\\n🦀\u{fffd}x/\""),
        );
    }

    #[test]
    fn a_cut_text_gives_what_is_whole() {
        check(r#"{"a":1,"b":"tex"#, false, Some(r#"{"a" 1 "b" }"#));
        check(r#"{"a":12"#, false, Some(r#"{"a" }"#));
        check(r#"{"a":1,"b""#, false, Some(r#"{"a" 1 }"#));
        check(r#"[[true,fals"#, false, Some("[[true ] ]"));
        check("", false, Some(""));
        check("<html>", false, Some(""));
    }

    fn structured() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            prop_oneof![
                Just("{"),
                Just("}"),
                Just("["),
                Just("]"),
                Just(","),
                Just(":"),
                Just("\"a\""),
                Just("\"\\u12"),
                Just("\"\\n\""),
                Just("0"),
                Just("-1.5e+7"),
                Just("01"),
                Just("1."),
                Just("-"),
                Just("true"),
                Just("nul"),
                Just("null"),
                Just(" "),
                Just("\u{1}"),
                Just("é\""),
            ],
            0..14,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_accepted_is_what_serde_json_accepts(text in prop_oneof![structured(), ".{0,12}"], whole in any::<bool>()) {
            let accepted = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(scan(&text, true).is_some(), accepted);
            prop_assert!(draw(&text, whole).is_some() || whole);
        }

        #[test]
        fn values_come_back(value in "[ -~é🦀\"\\\\\n]{0,24}", number in any::<i64>()) {
            let text = serde_json::json!({ "v": value, "n": [number] }).to_string();
            let drawn = draw(&text, true).unwrap_or_default();
            prop_assert!(drawn.contains(&format!("{value:?}")), "{}", drawn);
            prop_assert_eq!(drawn.contains("wide"), i32::try_from(number).is_err());
        }
    }
}
