//! Words with the same stem and several endings: `lists.json` and `lists.jsonp` are `lists.{format}`.
//!
//! In: the words and patterns below some nodes, with the places of each. Out: the same, with endings that vary put together
//! in a pattern. What an ending is comes from how many stems and endings there are, how alike what they answer is, and
//! whether it names a file format. It never decides whether a stem is a value: that is the verdict's, afterwards.

use crate::likeness::{Profile, Recurrence};
use crate::pattern::is_pattern;
use crate::place::{Place, nodes};
use crate::tree::Node;
use std::collections::{BTreeMap, BTreeSet};

/// Words and patterns with the places of each.
pub(crate) type Words<'a> = BTreeMap<String, Vec<Place<'a>>>;

/// Names of formats of files and media (IANA's registries of media types and of structured suffixes, and common use). A
/// pair of these behind one stem are two forms of one thing; a pair of other words (`album.get`, `album.search`) are not.
const FORMATS: [&str; 72] = [
    "json", "jsonp", "jsonl", "jsonld", "json5", "geojson", "topojson", "ndjson", "xml", "rss",
    "atom", "rdf", "ttl", "nt", "n3", "kml", "kmz", "gpx", "gml", "csv", "tsv", "txt", "md",
    "html", "htm", "xhtml", "yaml", "yml", "toml", "pdf", "doc", "docx", "xls", "xlsx", "ppt",
    "pptx", "odt", "ods", "rtf", "epub", "zip", "tar", "gz", "tgz", "bz2", "png", "jpg", "jpeg",
    "gif", "svg", "webp", "bmp", "ico", "tif", "tiff", "mp3", "mp4", "m4a", "ogg", "wav", "flac",
    "webm", "mov", "avi", "mkv", "m3u8", "mpd", "pbf", "mvt", "ics", "patch", "diff",
];

/// The blank for one of several formats.
pub(crate) const FORMAT: &str = "{w}";
/// The blank for an ending of another open vocabulary.
pub(crate) const OTHER: &str = "{x}";

/// A word cut at its last joint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    pub stem: &'a str,
    /// `.` before a format, `:` before a verb.
    pub joint: char,
    /// A word that a person wrote, or the blank of a value.
    pub ending: &'a str,
}

impl Cut<'_> {
    /// Whether the ending names a format.
    pub(crate) fn is_format(&self) -> bool {
        self.joint == '.' && FORMATS.contains(&self.ending.to_ascii_lowercase().as_str())
    }

    /// The joint and the ending.
    pub(crate) fn suffix(&self) -> String {
        format!("{}{}", self.joint, self.ending)
    }
}

/// Cuts a word or a pattern at its last joint, if what follows may be an ending.
pub(crate) fn cut(word: &str) -> Option<Cut<'_>> {
    let at = word.rfind(['.', ':']).filter(|at| *at > 0)?;
    let (stem, ending) = (word.get(..at)?, word.get(at + 1..)?);
    let joint = word.get(at..)?.chars().next()?;
    let blank = ending.len() == 3 && ending.starts_with('{');
    let name = (1..=24).contains(&ending.len())
        && ending.starts_with(|c: char| c.is_ascii_alphabetic())
        && ending
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    (blank || name).then_some(Cut {
        stem,
        joint,
        ending,
    })
}

/// So many stems with several formats make the format a parameter however unlike their answers are; so many endings that
/// name no format may be a parameter after one stem.
const SYSTEMATIC: usize = 3;

/// Puts endings that vary together. `open` says which endings are no closed vocabulary, given a profile for each.
pub(crate) fn merge<'a>(
    words: Words<'a>,
    recurrence: &Recurrence,
    open: impl FnOnce(&BTreeMap<&str, Profile>) -> BTreeSet<String>,
) -> Words<'a> {
    let mut stems: BTreeMap<String, Vec<(&str, Cut<'_>)>> = BTreeMap::new();
    for word in words.keys() {
        if let Some(cut) = cut(word).filter(|c| c.joint == '.') {
            stems.entry(blank(cut.stem)).or_default().push((word, cut));
        }
    }
    stems.retain(|_, forms| forms.len() >= 2);
    if stems.is_empty() {
        return words;
    }
    let of = |word: &str| words.get(word).map_or(Vec::new(), |places| nodes(places));
    let profile = |word: &str| Profile::of(&of(word), recurrence);
    let formats = |forms: &[(&str, Cut<'_>)]| {
        forms
            .iter()
            .filter(|(_, c)| c.is_format())
            .map(|(_, c)| c.ending)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let systematic = stems
        .iter()
        .filter(|(stem, forms)| formats(forms) >= 2 && !words.contains_key(*stem))
        .count()
        >= SYSTEMATIC;
    let odd: BTreeMap<&str, Vec<&Node>> = {
        let mut odd: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for (word, cut) in stems.values().flatten() {
            if !cut.is_format() && !is_pattern(cut.ending) {
                odd.entry(cut.ending).or_default().extend(of(word));
            }
        }
        odd
    };
    let open = if odd.len() >= MANY {
        open(
            &odd.iter()
                .map(|(ending, nodes)| (*ending, Profile::of(nodes, recurrence)))
                .collect(),
        )
    } else {
        BTreeSet::new()
    };
    // The new names, and the formats that are no longer in them.
    let mut renamed: BTreeMap<String, (String, Option<String>)> = BTreeMap::new();
    for (stem, forms) in &stems {
        let known: Vec<&(&str, Cut<'_>)> = forms.iter().filter(|(_, c)| c.is_format()).collect();
        let alike = || {
            let profiles: Vec<Profile> = known.iter().map(|(w, _)| profile(w)).collect();
            let first = profiles.first();
            profiles
                .iter()
                .skip(1)
                .all(|p| first.is_some_and(|f| f.likeness(p) >= 0.0))
        };
        let together =
            formats(forms) >= 2 && ((systematic && !words.contains_key(stem)) || alike());
        for (word, cut) in forms {
            if together && cut.is_format() {
                let format = Some(cut.ending.to_owned());
                renamed.insert(
                    (*word).to_owned(),
                    (format!("{}.{FORMAT}", cut.stem), format),
                );
            } else if open.contains(cut.ending) && forms.len() >= SYSTEMATIC {
                renamed.insert((*word).to_owned(), (format!("{}.{OTHER}", cut.stem), None));
            }
        }
    }
    let mut out = Words::new();
    for (word, places) in words {
        let (name, format) = renamed.remove(&word).unwrap_or((word, None));
        let formatted = |place: Place<'a>| Place {
            format: format.clone(),
            ..place
        };
        out.entry(name)
            .or_default()
            .extend(places.into_iter().map(formatted));
    }
    out
}

/// Fewer endings that name no format are never a parameter.
const MANY: usize = 8;

/// The stem with its values' classes left out: `{i}` and `{u}` are one stem.
fn blank(stem: &str) -> String {
    let mut out = String::with_capacity(stem.len());
    let mut inside = false;
    for c in stem.chars() {
        inside = c != '}' && (inside || c == '{');
        if !inside || c == '{' {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_cut_at_its_last_joint() {
        for (word, expected) in [
            ("lists.json", Some(("lists", ".json"))),
            ("{i}:cancel", Some(("{i}", ":cancel"))),
            ("album.tracks.get", Some(("album.tracks", ".get"))),
            ("syndicate.{u}", Some(("syndicate", ".{u}"))),
            ("users", None),
            (".json", None),
            ("v1.2", None),
            ("a.", None),
        ] {
            let found = cut(word).map(|c| (c.stem, c.suffix()));
            assert_eq!(
                found,
                expected.map(|(stem, suffix)| (stem, suffix.to_owned())),
                "{word}"
            );
        }
        assert_eq!(blank("{i}.a.{u}"), "{}.a.{}");
    }

    #[test]
    fn formats_are_told_by_name() {
        for (word, expected) in [
            ("a.json", true),
            ("a.JSON", true),
            ("a.get", false),
            ("a:json", false),
        ] {
            assert_eq!(cut(word).is_some_and(|c| c.is_format()), expected, "{word}");
        }
    }
}
