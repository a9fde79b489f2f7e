//! What is wrong with a document that can be read all the same.
//!
//! In: what readers come across. Out: a bounded list with place, value and what would be right. A problem never ends a reading.

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a JSON pointer (RFC 6901), or empty where only the line is known.
    pub pointer: String,
    /// Its line, from 1.
    pub line: u32,
    /// What is there, and what would be right.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.message),
            pointer => write!(f, "line {}, {pointer}: {}", self.line, self.message),
        }
    }
}

/// As many are kept; the rest is counted.
const KEPT: usize = 500;

/// The problems of one document.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub(crate) fn add(&mut self, pointer: &str, line: u32, message: impl FnOnce() -> String) {
        if self.list.len() >= KEPT {
            self.more += 1;
            return;
        }
        self.list.push(Problem {
            pointer: pointer.to_owned(),
            line,
            message: message(),
        });
    }

    pub(crate) fn too_deep(&mut self, line: u32) {
        self.add("", line, || {
            format!(
                "what is nested more than {} deep is left out",
                crate::json::MAX_DEPTH
            )
        });
    }

    pub(crate) fn twice(&mut self, line: u32, names: &[Box<str>]) {
        for name in names {
            self.add("", line, || {
                format!("`{name}` is there twice in one object; the last counts, one should go")
            });
        }
    }

    pub(crate) fn list(&self) -> &[Problem] {
        &self.list
    }

    pub(crate) fn more(&self) -> usize {
        self.more
    }
}
