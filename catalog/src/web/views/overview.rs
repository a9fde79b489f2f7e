//! The overview.

use askama::Template;

use super::apis::ApiRow;
use super::chart::Chart;
use super::shell::Shell;
use super::{Severities, Status, filters};

/// What is known, at one look.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub(crate) struct Overview {
    pub(crate) shell: Shell,
    /// Until the catalog is in use.
    pub(crate) next: Option<Vec<Step>>,
    pub(crate) tiles: Vec<Tile>,
    pub(crate) chart: Chart,
    pub(crate) severities: Severities,
    pub(crate) severity_bars: Vec<Share>,
    pub(crate) drift_bars: Vec<Share>,
    pub(crate) newest: Vec<ApiRow>,
    pub(crate) sources: Vec<Health>,
}

/// Something to do.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) href: &'static str,
    pub(crate) link: &'static str,
    pub(crate) done: bool,
}

/// A number.
#[derive(Debug)]
pub(crate) struct Tile {
    pub(crate) name: &'static str,
    pub(crate) value: u64,
    pub(crate) sub: String,
    /// Where it comes from, or empty.
    pub(crate) href: &'static str,
}

/// A part of a whole: `width` in hundredths of the largest.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) count: u64,
    pub(crate) width: u64,
    /// Addresses and words of the lists that have some of it.
    pub(crate) places: Vec<(String, String)>,
}

impl Share {
    /// Without width and places yet.
    pub(crate) fn new(name: &'static str, class: &'static str, count: u64) -> Share {
        Share {
            name,
            class,
            count,
            width: 0,
            places: Vec::new(),
        }
    }
}

/// How a source is.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) status: Status,
}
