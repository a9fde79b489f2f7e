//! The recordings named on the command line: in, paths; out, readers of JSON text with gzip undone.
//!
//! It never reads a file whole, and never decides by a file's name what is in it.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

use super::LearnError;

/// One recording.
#[derive(Debug)]
pub(super) struct Source {
    /// `None` for stdin.
    pub(super) path: Option<PathBuf>,
    /// What messages call it.
    pub(super) name: String,
    /// Bytes on disk, where that is known beforehand.
    pub(super) size: Option<u64>,
    /// Stands in for the time of exchanges that have none: when the file was written, Unix milliseconds.
    pub(super) written: u64,
}

/// The recordings behind the given paths, directories opened up in order of their names.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Source>, LearnError> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let written = millis(SystemTime::now());
            sources.push(Source {
                path: None,
                name: "stdin".to_owned(),
                size: None,
                written,
            });
            continue;
        }
        let name = path.display().to_string();
        let open = |source| LearnError::Open {
            path: name.clone(),
            source,
        };
        if !fs::metadata(path).map_err(open)?.is_dir() {
            sources.push(Source::file(path)?);
            continue;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(open)? {
            let file = entry.map_err(open)?.path();
            let lower = file.to_string_lossy().to_lowercase();
            if (lower.ends_with(".har") || lower.ends_with(".har.gz")) && file.is_file() {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(LearnError::NoRecordings { path: name });
        }
        found.sort();
        for file in found {
            sources.push(Source::file(&file)?);
        }
    }
    Ok(sources)
}

impl Source {
    fn file(path: &Path) -> Result<Self, LearnError> {
        let name = path.display().to_string();
        // Opened now, so that a file nobody may read is told before an hour of learning.
        let file = File::open(path).and_then(|file| file.metadata());
        let metadata = file.map_err(|source| LearnError::Open {
            path: name.clone(),
            source,
        })?;
        Ok(Self {
            path: Some(path.to_owned()),
            name,
            size: metadata.is_file().then_some(metadata.len()),
            written: metadata.modified().map_or(0, millis),
        })
    }

    /// Opens it; the bar advances by the bytes on disk.
    pub(super) fn open(&self, bar: &ProgressBar) -> io::Result<Box<dyn Read>> {
        let raw: Box<dyn Read> = match &self.path {
            Some(path) => Box::new(File::open(path)?),
            None => Box::new(io::stdin().lock()),
        };
        let mut raw = bar.wrap_read(raw);
        let mut head = Vec::new();
        raw.by_ref().take(2).read_to_end(&mut head)?;
        let gzip = head == [0x1f, 0x8b];
        let whole = Cursor::new(head).chain(raw);
        Ok(if gzip {
            Box::new(MultiGzDecoder::new(whole))
        } else {
            Box::new(whole)
        })
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
