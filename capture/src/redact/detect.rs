//! Secrets that are known by what they look like, whatever their name: JSON Web Tokens and payment card numbers.
//!
//! In: a stretch of text. Out: edits. Where the text was cut off by a cap, what could be the beginning of one counts too.

use memchr::memmem;

use super::edits::Edits;
use super::placeholder;

/// ISO/IEC 7812 numbers have 13 to 19 digits in practice.
const CARD_LEAST: usize = 13;
const CARD_MOST: usize = 19;
/// As many digits of a cut off card number may be seen: the issuer's, which PCI DSS lets anybody see.
const CARD_SEEN: usize = 6;

/// Whether [`scrub`] could find anything: cheap, no false negatives.
pub(crate) fn may_contain(text: &[u8], cut: bool) -> bool {
    may_contain_token(text) || may_contain_card(text) || (cut && may_be_cut(text))
}

fn is_card_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b' ' || byte == b'-' || byte == b'+'
}

/// Whether `eyJ` occurs: base64 of `{"`, with which every token's header begins.
pub(crate) fn may_contain_token(text: &[u8]) -> bool {
    // The capital is rarer than `ey` in what usually passes.
    text.len() >= 20
        && memchr::memchr_iter(b'J', text)
            .any(|at| text.get(..at).is_some_and(|before| before.ends_with(b"ey")))
}

/// Every run of 13 bytes covers one of the positions looked at.
fn may_contain_card(text: &[u8]) -> bool {
    let mut at = CARD_LEAST - 1;
    while let Some(byte) = text.get(at) {
        // A separator stands between two digits.
        let inside = byte.is_ascii_digit()
            || (is_card_byte(*byte)
                && matches!(text.get(at - 1..at + 2), Some([before, _, after]) if before.is_ascii_digit() && after.is_ascii_digit()));
        if !inside {
            at += CARD_LEAST;
            continue;
        }
        let (before, after) = text.split_at_checked(at).unwrap_or_default();
        let left = before.iter().rev().take_while(|b| is_card_byte(**b));
        let right = after.iter().take_while(|b| is_card_byte(**b));
        let (mut digits, mut length) = (left.filter(|b| b.is_ascii_digit()).count(), 0);
        for byte in right {
            digits += usize::from(byte.is_ascii_digit());
            length += 1;
        }
        if digits >= CARD_LEAST {
            return true;
        }
        at += length + CARD_LEAST;
    }
    false
}

/// The text ends within what could be a token or a card number.
fn may_be_cut(text: &[u8]) -> bool {
    let tail = text.get(text.len().saturating_sub(4096)..).unwrap_or(text);
    let run = tail.iter().rev().take_while(|b| is_token_byte(**b)).count();
    let run = tail.get(tail.len() - run..).unwrap_or_default();
    memmem::find(run, b"eyJ").is_some()
        || text
            .iter()
            .rev()
            .take_while(|b| is_card_byte(**b))
            .filter(|b| b.is_ascii_digit())
            .count()
            > CARD_SEEN
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.'
}

/// Replaces what it finds in `start..end` of the input. `cut`: the text goes on beyond `end`, but was not kept.
pub(crate) fn scrub(edits: &mut Edits<'_, '_>, start: usize, end: usize, cut: bool) {
    let input = edits.input();
    let Some(text) = input.get(start..end) else {
        return;
    };
    if !may_contain(text, cut) {
        return;
    }
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(b"eyJ") {
            let length = rest.iter().take_while(|b| is_token_byte(**b)).count();
            let token = rest.get(..length).unwrap_or(rest);
            let whole = token.iter().filter(|b| **b == b'.').count() >= 2;
            if whole || (cut && at + length == text.len()) {
                edits.replace(start + at, start + at + length, |token, out| match whole {
                    true => placeholder::put(token, out),
                    false => out.extend(std::iter::repeat_n(b'x', token.len().min(64))),
                });
            }
            at += length.max(1);
        } else if rest.first().is_some_and(u8::is_ascii_digit) {
            let (length, is_card) = card(rest, cut);
            if is_card {
                edits.replace(start + at, start + at + length, |digits, out| {
                    out.extend(
                        digits
                            .iter()
                            .map(|b| if b.is_ascii_digit() { b'1' } else { *b }),
                    );
                });
            }
            at += length.max(1);
        } else {
            at += 1;
        }
    }
}

/// The length of the run of digits at the beginning of `text`, grouped by at most one kind of separator, and whether it is
/// a card number.
fn card(text: &[u8], cut: bool) -> (usize, bool) {
    let mut separator = None;
    let (mut length, mut digits, mut group, mut sum, mut grouped) = (0, 0usize, 0, [0u32; 2], true);
    let mut bytes = text.iter().copied().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        if byte.is_ascii_digit() {
            let digit = u32::from(byte - b'0');
            let doubled = if digit > 4 { digit * 2 - 9 } else { digit * 2 };
            // Which digits are doubled depends on how many follow, so both sums are kept.
            sum = [sum[1] + doubled, sum[0] + digit];
            digits += 1;
            group += 1;
            length = at + 1;
        } else if is_card_byte(byte)
            && *separator.get_or_insert(byte) == byte
            && bytes.peek().is_some_and(|(_, next)| next.is_ascii_digit())
        {
            grouped &= (4..=6).contains(&group);
            group = 0;
        } else {
            break;
        }
    }
    let issuer = text
        .first()
        .is_some_and(|first| (b'2'..=b'6').contains(first));
    let grouped = grouped && (separator.is_none() || group <= 7);
    let whole = (CARD_LEAST..=CARD_MOST).contains(&digits) && sum[1] % 10 == 0;
    let beginning = cut && length == text.len() && digits > CARD_SEEN && digits <= CARD_MOST;
    (length, issuer && grouped && (whole || beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(text: &str, cut: bool) -> String {
        let mut out = Vec::new();
        let mut edits = Edits::new(text.as_bytes(), &mut out);
        scrub(&mut edits, 0, text.len(), cut);
        if edits.finish() {
            String::from_utf8(out).unwrap()
        } else {
            text.to_owned()
        }
    }

    #[test]
    fn cards_are_found_with_and_without_groups() {
        for (text, wanted) in [
            ("4111111111111111", "1111111111111111"),
            ("card 4111 1111 1111 1111.", "card 1111 1111 1111 1111."),
            ("5500-0000-0000-0004", "1111-1111-1111-1111"),
            ("378282246310005", "111111111111111"),
            ("3782 822463 10005", "1111 111111 11111"),
            ("pan4111111111111111x", "pan1111111111111111x"),
        ] {
            assert_eq!(scrubbed(text, false), wanted);
        }
        for same in [
            "4111111111111112",
            "1700000000000",
            "411111111111",
            "2024-01-02 12:00:00",
            "41111111111111111111111111",
            "+49 1512 345678901",
            "123456-4111",
            "4111 1111-1111 1111",
        ] {
            assert_eq!(scrubbed(same, false), same);
        }
    }

    #[test]
    fn tokens_are_found_anywhere() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
        let found = scrubbed(&format!("Bearer%20{jwt} and more"), false);
        assert!(
            !found.contains("c2ln") && found.ends_with(" and more"),
            "{found}"
        );
        assert_eq!(
            scrubbed("eyJub3QiOiJhIGp3dCJ9", false),
            "eyJub3QiOiJhIGp3dCJ9"
        );
    }

    #[test]
    fn the_beginning_of_a_secret_counts_where_the_text_was_cut() {
        assert_eq!(scrubbed("41111111111", true), "11111111111");
        assert_eq!(scrubbed("4111 1111", true), "1111 1111");
        assert_eq!(scrubbed("411111", true), "411111");
        assert_eq!(scrubbed("a eyJhbGciOiJI", true), "a xxxxxxxxxxxx");
        assert_eq!(scrubbed("eyJhbGciOiJI b", true), "eyJhbGciOiJI b");
    }
}
