//! Tables as text: comma-, semicolon- and tab-separated values (RFC 4180, IANA text/tab-separated-values).
//!
//! In: a body. Out: the notes know its head, if the first line is certain to be one: names in all its columns, and below one of them a
//! number or a date. It keeps nothing of the rows.

use crate::class::Class;
use crate::keys;
use crate::notes::Notes;
use crate::observation::Body;
use crate::shape::Scale;

const MOST_COLUMNS: usize = 64;
/// All names together. Longer keys are not kept apart.
const LONGEST_HEAD: usize = 120;
const LONGEST_NAME: usize = 32;
/// Rows in which a number is looked for.
const MOST_ROWS: usize = 8;
/// Stands for a body without a head.
const NONE: &str = "?";

/// What usually separates the columns of a media type.
pub(crate) fn separator(media: &str) -> Option<char> {
    match media {
        "text/csv" | "application/csv" | "text/comma-separated-values" => Some(','),
        "text/tab-separated-values" => Some('\t'),
        _ => None,
    }
}

/// Notes the head of a body.
pub(crate) fn learn(notes: &mut Notes, media: &str, body: Body<'_>, scale: Scale) {
    let text = String::from_utf8_lossy(body.bytes);
    let text = text.trim_start_matches('\u{feff}');
    let head = separator(media).and_then(|usual| head(text, usual, body.complete));
    let head = head.map(|names| names.join("\n"));
    notes.add(
        head.filter(|h| h.len() <= LONGEST_HEAD)
            .as_deref()
            .unwrap_or(NONE),
        scale,
    );
}

fn head(text: &str, usual: char, complete: bool) -> Option<Vec<&str>> {
    let mut lines = text.split('\n').map(|l| l.trim_end_matches('\r'));
    let first = lines.next()?;
    let separator = [usual, ';', '\t']
        .into_iter()
        .find(|s| first.contains(*s))?;
    let cells = |line: &'_ str| -> Vec<String> {
        line.split(separator)
            .map(|c| c.trim().trim_matches('"').to_owned())
            .collect()
    };
    let names: Vec<&str> = first
        .split(separator)
        .map(|c| c.trim().trim_matches('"'))
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if names.len() > MOST_COLUMNS || sorted.len() < names.len() || !names.iter().all(|n| is_name(n))
    {
        return None;
    }
    // The last line may have been cut off.
    let mut rows: Vec<&str> = lines.take(MOST_ROWS + 1).collect();
    if !complete || rows.len() > MOST_ROWS {
        rows.pop();
    }
    let value = |cell: &String| {
        matches!(
            Class::of(cell),
            Some(Class::Integer | Class::Number | Class::Date | Class::DateTime | Class::Uuid)
        )
    };
    rows.iter()
        .map(|row| cells(row))
        .any(|row| row.len() == names.len() && row.iter().any(value))
        .then_some(names)
}

/// A name of a column: words, no value.
fn is_name(cell: &str) -> bool {
    cell.len() <= LONGEST_NAME
        && cell.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && cell
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-. ".contains(&b))
        && cell.matches(' ').count() <= 2
        && Class::of(&cell.replace(' ', "_")).is_none()
        && !keys::is_data(cell)
}

/// The columns, where all bodies have the same head and there were several.
pub(crate) fn columns(notes: &Notes) -> Option<Vec<&str>> {
    let mut all = notes.counted();
    let (head, times) = all.next()?;
    (all.next().is_none() && times >= 2 && head != NONE).then(|| head.split('\n').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bodies: &[&str], expected: Option<&[&str]>) {
        let mut notes = Notes::default();
        for text in bodies {
            learn(&mut notes, "text/csv", Body::whole(text.as_bytes()), 0);
        }
        assert_eq!(columns(&notes).as_deref(), expected, "{bodies:?}");
    }

    #[test]
    fn heads_are_told_from_rows() {
        let table = "id,\"full name\",born\r\n1,Ada Lovelace,1815-12-10\r\n";
        check(&[table, table], Some(&["id", "full name", "born"]));
        check(&[table], None);
        check(&["a;b\n1;x\n", "a;b\n2;y"], Some(&["a", "b"]));
        // One of many orders of columns, no head, nothing but words, a cell that is no name.
        check(&[table, "id,born\n1,1815-12-10"], None);
        check(&["Ada,Lovelace\nJean,Bartik\n"; 2], None);
        check(&["Ada,Lovelace\n"; 2], None);
        check(&["id,ada@example.com\n1,2\n"; 2], None);
        check(&["id,id\n1,2\n"; 2], None);
        check(&["id,name\n1,2,3\n"; 2], None);
        check(&["text"; 2], None);
    }

    #[test]
    fn hostile_tables_stay_in_bounds() {
        let mut notes = Notes::default();
        for i in 0..2000u32 {
            let text = format!(
                "id,c{}\n1,2\n",
                char::from(b'a' + (i % 26) as u8)
                    .to_string()
                    .repeat(1 + i as usize % 20)
            );
            learn(&mut notes, "text/csv", Body::whole(text.as_bytes()), 0);
        }
        let wide = format!("a{}\n1", ",b".repeat(100_000));
        learn(&mut notes, "text/csv", Body::whole(wide.as_bytes()), 0);
        assert!(notes.heap() < 32 * 1024);
        assert_eq!(columns(&notes), None);
    }
}
