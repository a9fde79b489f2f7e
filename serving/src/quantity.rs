//! Sizes and time spans as operators write them: `64m`, `2g`, `30s`, `90d`.
//!
//! In: text from a flag, the environment or the configuration file. Out: bytes or a `Duration`, and back to the shortest
//! text. Never guesses a unit: a bare number is bytes for a size, and refused for a span.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A number of bytes. `k`, `m` and `g` are powers of 1024, in either case, with or without a trailing `b` or `ib`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A span of time with one unit: `500ms`, `30s`, `15m`, `12h`, `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Text that is not a size or a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a size.
    #[error(
        "`{0}` is not a size: want a number of bytes with an optional unit k, m or g, such as 64m"
    )]
    Size(String),
    /// Not a span.
    #[error(
        "`{0}` is not a span of time: want a whole number with a unit ms, s, m, h or d, such as 30s"
    )]
    Span(String),
}

/// Splits `123kb` into the number and the unit.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Size, QuantityError> {
        let wrong = || QuantityError::Size(text.to_owned());
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(wrong()),
        };
        number
            .checked_mul(1u64 << shift)
            .map(Size)
            .ok_or_else(wrong)
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Span, QuantityError> {
        let wrong = || QuantityError::Span(text.to_owned());
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let millis = match unit.to_ascii_lowercase().as_str() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        number
            .checked_mul(millis)
            .map(|millis| Span(Duration::from_millis(millis)))
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, length) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
        ] {
            if millis != 0 && millis.is_multiple_of(length) {
                return write!(f, "{}{unit}", millis / length);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A size may be a TOML integer or a string; a span is a string.
struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = QuantityError>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity with a unit, in quotes, such as \"64m\" or \"30s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Size, D::Error> {
        from.deserialize_any(Text(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        from.deserialize_any(Text(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, again) in [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("1k", 1024, "1k"),
            ("1 KiB", 1024, "1k"),
            ("8M", 8 << 20, "8m"),
            ("2g", 2 << 30, "2g"),
            ("1536k", 1536 << 10, "1536k"),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), again);
        }
        for wrong in ["", "m", "-1", "1.5m", "1t", "99999999999g", "1 2"] {
            let error = wrong.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")) && error.contains("64m"));
        }
    }

    #[test]
    fn spans() {
        for (text, millis, again) in [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("60s", 60_000, "1m"),
            ("15m", 900_000, "15m"),
            ("90d", 90 * 86_400_000, "90d"),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))));
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), again);
        }
        for wrong in ["", "30", "s", "-1s", "1.5h", "1y", "999999999999999999d"] {
            let error = wrong.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")) && error.contains("30s"));
        }
    }
}
