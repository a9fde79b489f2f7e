use super::*;

/// Gives its bytes a few at a time, then an error if there is one.
struct Drip<'a> {
    bytes: &'a [u8],
    piece: usize,
    error: Option<io::Error>,
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(buffer.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.bytes = later;
        match self.error.take() {
            Some(error) if length == 0 => Err(error),
            error => {
                self.error = error;
                Ok(length)
            }
        }
    }
}

fn read_all(reader: impl Read, max: usize) -> (Vec<String>, Result<(), HarError>) {
    let mut reader = Reader::with_max_entry(reader, max);
    let mut found = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(Some(Item::Entry(entry))) => {
                let json = String::from_utf8_lossy(entry.json);
                found.push(format!(
                    "{} @{} :{} {json}",
                    entry.index, entry.offset, entry.line
                ));
            }
            Ok(Some(Item::TooLarge { index, size })) => {
                found.push(format!("{index} too large, {size}"))
            }
            Ok(None) => return (found, Ok(())),
            Err(error) => return (found, Err(error)),
        }
    }
}

/// The same for every way the bytes may arrive.
fn check(har: &str, entries: &[&str], error: &str) {
    for piece in [usize::MAX, 1, 7] {
        let (found, result) = read_all(
            Drip {
                bytes: har.as_bytes(),
                piece,
                error: None,
            },
            64,
        );
        assert_eq!(found, entries, "{har}");
        let message = result.map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(message, error, "{har}");
    }
}

#[test]
fn entries_are_found_wherever_they_are() {
    check(r#"{"log":{"entries":[]}}"#, &[], "");
    check(r#"{"log":{"entries":null}}"#, &[], "");
    check(
        r#"{"log":{"entries":[{"a":"]}\"\\"},{}]}}"#,
        &[r#"1 @19 :1 {"a":"]}\"\\"}"#, "2 @34 :1 {}"],
        "",
    );
    check(
        "\u{feff}{\n \"x\" : {\"log\":{\"entries\":[{\"no\":1}]}},\n \"log\" : {\"pages\":[{}, \"]\"], \"n\": -1.5e3 ,\n  \"entries\" : [\n  {\"b\":[{}]} , \n{}\n]\n, \"t\":true}}\n",
        &["1 @105 :5 {\"b\":[{}]}", "2 @119 :6 {}"],
        "",
    );
}

#[test]
fn archives_may_follow_one_another() {
    let one = r#"{"log":{"entries":[{"a":1}]}}"#;
    check(
        &format!("{one}\n{one}"),
        &[r#"1 @19 :1 {"a":1}"#, r#"2 @49 :2 {"a":1}"#],
        "",
    );
    check(
        &format!("{one},"),
        &[r#"1 @19 :1 {"a":1}"#],
        "byte 29, line 1: expected the end or another archive, found \",\"; whole entries before it: 1",
    );
}

#[test]
fn a_cut_is_told_with_the_entry_it_fell_in() {
    check(
        "{\"log\":{\"entries\":[{},\n {\"a\":\"b",
        &["1 @19 :1 {}"],
        "the file is cut off: it ends at byte 31, line 2, in the middle of entry 2 (which begins at byte 24, line 2); \
         whole entries before it: 1",
    );
    check(
        r#"{"log":{"entries":[{},"#,
        &["1 @19 :1 {}"],
        "the file is cut off: it ends at byte 22, line 1, between two entries; whole entries before it: 1",
    );
    check(
        r#"{"log":{"vers"#,
        &[],
        "the file is cut off: it ends at byte 13, line 1, inside a key; whole entries before it: 0",
    );
    check(
        r#"{"log":"#,
        &[],
        "the file is cut off: it ends at byte 7, line 1, before the value of \"log\"; whole entries before it: 0",
    );
}

#[test]
fn a_cut_behind_the_last_entry_costs_nothing() {
    for tail in ["", "}", ",", ",\"pages\":[{\"a\":", ",\"pa"] {
        check(
            &format!("{{\"log\":{{\"entries\":[{{}}]{tail}"),
            &["1 @19 :1 {}"],
            "",
        );
    }
}

#[test]
fn what_is_out_of_place_is_named() {
    let at = |har: &str, expected: &str| check(har, &[], expected);
    at(
        "",
        "it is empty; a HAR file is a JSON object with log.entries",
    );
    at(
        " \n",
        "it is empty; a HAR file is a JSON object with log.entries",
    );
    at(
        "[1]",
        "it is a JSON array, not a HAR file (a JSON object with log.entries)",
    );
    at(
        "{}",
        "it is an empty JSON object, not a HAR file (a JSON object with log.entries)",
    );
    at(
        r#"{"info":{},"item":[{"log":{"entries":[]}}]}"#,
        "it is a Postman collection, not a HAR file (a JSON object with log.entries); a collection holds requests to \
         make, not exchanges that happened",
    );
    at(
        r#"{"log":{"version":"1.2"}}"#,
        "it is a JSON object whose \"log\" has no \"entries\", not a HAR file (a JSON object with log.entries)",
    );
    at(
        r#"{"log":[]}"#,
        "byte 7, line 1: expected an object as the value of \"log\", found \"[]}\"; whole entries before it: 0",
    );
    at(
        r#"{"log":{"entries":{}}}"#,
        "byte 18, line 1: expected an array as the value of \"log.entries\", found \"{}}}\"; whole entries before it: 0",
    );
    at(
        r#"{"log":{"entries":[1]}}"#,
        "byte 19, line 1: expected an object as an entry of \"log.entries\", found \"1]}}\"; whole entries before it: 0",
    );
    at(
        r#"{"log" {}}"#,
        "byte 7, line 1: expected ':' after a key, found \"{}}\"; whole entries before it: 0",
    );
}

#[test]
fn an_entry_above_the_limit_is_passed_over() {
    let har = format!(
        r#"{{"log":{{"entries":[{{"a":1}},{{"a":"{}"}},{{"a":3}}]}}}}"#,
        "x".repeat(1000)
    );
    check(
        &har,
        &[
            r#"1 @19 :1 {"a":1}"#,
            "2 too large, 1008",
            r#"3 @1036 :1 {"a":3}"#,
        ],
        "",
    );
    // Exactly at the limit is within it.
    let har = format!(r#"{{"log":{{"entries":[{{"a":"{}"}}]}}}}"#, "x".repeat(56));
    let entry = format!(r#"1 @19 :1 {{"a":"{}"}}"#, "x".repeat(56));
    check(&har, &[&entry], "");
}

#[test]
fn what_came_before_the_reader_failed_is_read() {
    let error = Some(io::Error::other("the disk is gone"));
    let bytes = br#"{"log":{"entries":[{"a":1},{"a":2},{"a":"#;
    let (found, result) = read_all(
        Drip {
            bytes,
            piece: 10,
            error,
        },
        64,
    );
    assert_eq!(found.len(), 2);
    assert_eq!(
        result.unwrap_err().to_string(),
        "cannot read on after entry 2 (byte 40): the disk is gone"
    );
}

#[test]
fn a_large_file_of_long_lines_is_split_at_every_buffer_edge() {
    let mut har = String::from("{\"log\":{\"entries\":[\n");
    for number in 0..5000 {
        let body = "\\\"x\\\\".repeat(number % 97);
        har.push_str(&format!(
            "{}{{\"n\":{number},\"text\":\"{body}\"}}\n",
            if number > 0 { "," } else { "" }
        ));
    }
    har.push_str("]}}");
    let mut reader = Reader::new(har.as_bytes());
    let mut next = 0;
    while let Some(item) = reader.next_entry().unwrap() {
        let Item::Entry(entry) = item else {
            panic!("{item:?}")
        };
        let value: serde_json::Value = serde_json::from_slice(entry.json).unwrap();
        assert_eq!(value["n"], next);
        assert_eq!(entry.line, next + 2);
        assert!(har.as_bytes()[entry.offset as usize..].starts_with(entry.json));
        next += 1;
    }
    assert_eq!(next, 5000);
}
