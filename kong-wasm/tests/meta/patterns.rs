//! What a value may be, in the words of JSON Schema: members of objects, patterns, ranges of numbers, lists.
//!
//! In: bounds and patterns of entries. Out: JSON as text, whose members stand in the order given, whatever a `Map` would make of
//! it. Patterns use what ECMA 262, PCRE (Kong) and Python (the validator of these tests) have in common.

use serde_json::Value;

/// JSON with its members in the order given, whatever a `Map` would make of it.
pub(crate) fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}: {value}", text(name)))
        .collect();
    format!("{{{}}}", members.join(", "))
}

pub(crate) fn text(text: &str) -> String {
    Value::from(text).to_string()
}

pub(crate) fn anchored(pattern: &str) -> String {
    text(&format!("^({pattern})$"))
}

/// A pattern for the decimal numbers from `low` to `high`, without leading zeros.
pub(crate) fn numbers(low: u64, high: u64) -> String {
    let mut parts = Vec::new();
    let mut from = low;
    while from <= high {
        let longest = 10_u64.pow(from.to_string().len() as u32) - 1;
        let to = high.min(longest);
        parts.push(same_length(&from.to_string(), &to.to_string()));
        from = to + 1;
    }
    parts.join("|")
}

/// The same for numbers that have as many digits.
fn same_length(low: &str, high: &str) -> String {
    let split = |number: &str| {
        let (first, rest) = number.split_at(1);
        (first.parse::<u32>().unwrap(), rest.to_owned())
    };
    if low.is_empty() {
        return String::new();
    }
    let ((mut first, low), (mut last, high)) = (split(low), split(high));
    if first == last {
        return format!("{first}{}", group(&same_length(&low, &high)));
    }
    let (mut before, mut after) = (None, None);
    if low.bytes().any(|digit| digit != b'0') {
        let nines = "9".repeat(low.len());
        before = Some(format!("{first}{}", group(&same_length(&low, &nines))));
        first += 1;
    }
    if high.bytes().any(|digit| digit != b'9') {
        let zeros = "0".repeat(high.len());
        after = Some(format!("{last}{}", group(&same_length(&zeros, &high))));
        last -= 1;
    }
    let middle = (first <= last).then(|| {
        let digits = match first == last {
            true => first.to_string(),
            false => format!("[{first}-{last}]"),
        };
        match low.len() {
            0 => digits,
            1 => format!("{digits}[0-9]"),
            more => format!("{digits}[0-9]{{{more}}}"),
        }
    });
    let parts: Vec<String> = [before, middle, after].into_iter().flatten().collect();
    parts.join("|")
}

fn group(pattern: &str) -> String {
    match pattern.contains('|') {
        true => format!("({pattern})"),
        false => pattern.to_owned(),
    }
}

/// A size in bytes as a number, or as a text with a unit.
pub(crate) fn size(low: u64, high: u64, units: &[(char, u32)]) -> Vec<(&'static str, String)> {
    let mut pattern = numbers(low, high);
    for (unit, shift) in units {
        let least = low.div_ceil(1 << shift);
        let upper = unit.to_ascii_uppercase();
        pattern += &format!("|({})[{unit}{upper}]", numbers(least, high >> shift));
    }
    vec![
        ("type", r#"["string", "integer"]"#.to_owned()),
        ("pattern", anchored(&pattern)),
        ("minimum", low.to_string()),
        ("maximum", high.to_string()),
    ]
}

/// A list as one text or as an array. Either all entries have a `+` in front or none.
pub(crate) fn list(entry: &str) -> Vec<(&'static str, String)> {
    let several = |entry: &str| format!(r"({entry})([, \t\r\n]+({entry}))*");
    let (plain, added) = (several(entry), several(&format!(r"\+({entry})")));
    let one = format!(r"\+?({entry})");
    let items = |pattern: &str| object(&[("items", object(&[("pattern", text(pattern))]))]);
    let unmixed = [items("^[^+]"), items(r"^\+")];
    let item = [
        ("type", text("string")),
        ("pattern", anchored(&one)),
        ("maxLength", "1024".to_owned()),
    ];
    vec![
        ("type", r#"["string", "array"]"#.to_owned()),
        ("pattern", anchored(&format!("off|{plain}|{added}"))),
        ("items", object(&item)),
        ("minItems", "1".to_owned()),
        ("anyOf", format!("[{}]", unmixed.join(", "))),
    ]
}

#[test]
fn ranges_of_numbers_as_patterns() {
    assert_eq!(numbers(0, 9), "[0-9]");
    assert_eq!(numbers(1, 16), "[1-9]|1[0-6]");
    assert_eq!(
        numbers(10, 60_000),
        "[1-9][0-9]|[1-9][0-9]{2}|[1-9][0-9]{3}|[1-5][0-9]{4}|60000"
    );
    assert_eq!(
        numbers(64, 1024),
        "6[4-9]|[7-9][0-9]|[1-9][0-9]{2}|1(0([0-1][0-9]|2[0-4]))"
    );
    assert_eq!(numbers(1, 1), "1");
}
