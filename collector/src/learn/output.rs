//! Where documents go: in, `--output`, `--format` and the hosts that have a document; out, files.
//!
//! A file is replaced in one step, so that a reader finds the old document or the new one, never half of one. It never
//! replaces a recording, and never gives two hosts one name.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use silhouette_reconstruct::Document;

use super::source::Source;
use super::{Format, LearnError, Learnt};
use crate::stdout;

/// What stands for the host in `--output`.
const HOST: &str = "{host}";

/// Where documents go.
#[derive(Debug)]
pub(super) struct Output {
    place: Where,
    format: Format,
    /// The recordings' real paths.
    recordings: Vec<PathBuf>,
}

#[derive(Debug)]
enum Where {
    Stdout,
    /// One file; with several hosts the others' files beside it.
    File(PathBuf),
    /// A name with [`HOST`] in it.
    Pattern(String),
}

/// Where one document goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Stdout,
    File(PathBuf),
}

impl Output {
    /// Decides by the shape of `path`; refuses a format that its name contradicts.
    pub(super) fn new(
        path: Option<&Path>,
        format: Option<Format>,
        sources: &[Source],
    ) -> Result<Self, LearnError> {
        let recordings = sources
            .iter()
            .filter_map(|source| source.path.as_ref()?.canonicalize().ok())
            .collect();
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            return Ok(Self {
                place: Where::Stdout,
                format: format.unwrap_or(Format::Json),
                recordings,
            });
        };
        let shown = path.display().to_string();
        if path.is_dir() || shown.ends_with('/') {
            let format = format.unwrap_or(Format::Json);
            let pattern = format!(
                "{}/{HOST}.{}",
                shown.trim_end_matches('/'),
                format.extension()
            );
            return Ok(Self {
                place: Where::Pattern(pattern),
                format,
                recordings,
            });
        }
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase());
        let named = match extension.as_deref() {
            Some("json") => Some(Format::Json),
            Some("yaml" | "yml") => Some(Format::Yaml),
            _ => None,
        };
        if let (Some(named), Some(format)) = (named, format)
            && named != format
        {
            return Err(LearnError::Format {
                format: format.extension(),
                path: shown,
            });
        }
        let place = if shown.contains(HOST) {
            Where::Pattern(shown)
        } else {
            Where::File(path.to_owned())
        };
        Ok(Self {
            place,
            format: named.or(format).unwrap_or(Format::Json),
            recordings,
        })
    }

    /// One place for each host, the first host being the one that gets a single file's name.
    pub(super) fn places(&self, hosts: &[&Learnt<'_>]) -> Result<Vec<Place>, LearnError> {
        let mut taken = BTreeSet::new();
        let mut places = Vec::new();
        for (number, learnt) in hosts.iter().enumerate() {
            let name = file_name(learnt.host.as_str());
            let path = |name: &str| match &self.place {
                Where::Stdout => None,
                Where::File(path) if number == 0 => Some(path.clone()),
                Where::File(path) => Some(beside(path, name)),
                Where::Pattern(pattern) => Some(PathBuf::from(pattern.replace(HOST, name))),
            };
            let mut candidate = path(&name);
            let mut again = 2;
            while candidate.as_ref().is_some_and(|path| taken.contains(path)) {
                candidate = path(&format!("{name}-{again}"));
                again += 1;
            }
            let Some(path) = candidate else {
                places.push(Place::Stdout);
                continue;
            };
            if path
                .canonicalize()
                .is_ok_and(|real| self.recordings.contains(&real))
            {
                return Err(LearnError::Overwrite {
                    path: path.display().to_string(),
                });
            }
            taken.insert(path.clone());
            places.push(Place::File(path));
        }
        if matches!(self.place, Where::Stdout) && hosts.len() > 1 {
            let line = |learnt: &&Learnt<'_>| {
                let operations = learnt.document.operations().len();
                format!(
                    "  {} (operations: {operations}, exchanges: {})\n",
                    learnt.host, learnt.counts.exchanges
                )
            };
            return Err(LearnError::SeveralHosts {
                count: hosts.len(),
                hosts: hosts.iter().map(line).collect(),
            });
        }
        Ok(places)
    }

    /// Writes a document to its place.
    pub(super) fn write(&self, place: &Place, document: &Document) -> Result<(), LearnError> {
        let text = self.format.write(document);
        let (path, result) = match place {
            Place::Stdout => ("stdout".to_owned(), stdout::write(&text)),
            Place::File(path) => {
                let make_directory = matches!(self.place, Where::Pattern(_));
                (
                    path.display().to_string(),
                    replace(path, text.as_bytes(), make_directory),
                )
            }
        };
        result.map_err(|source| LearnError::Write { path, source })
    }
}

/// `openapi.json` and a host: `openapi.api.example.com.json`.
fn beside(path: &Path, name: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match path.extension() {
        Some(extension) => {
            path.with_file_name(format!("{stem}.{name}.{}", extension.to_string_lossy()))
        }
        None => path.with_file_name(format!("{stem}.{name}")),
    }
}

/// A host as part of a file's name: the port after `_`, as every file system takes it.
fn file_name(host: &str) -> String {
    host.chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') {
                c
            } else {
                '_'
            }
        })
        .collect()
}

fn replace(path: &Path, text: &[u8], make_directory: bool) -> io::Result<()> {
    // What a link points to is replaced, not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if make_directory {
        fs::create_dir_all(directory)?;
    } else if !directory.is_dir() {
        let why = format!("there is no directory {}", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    // A pipe or a device cannot be replaced, only written to.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new().write(true).open(&path)?.write_all(text);
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = match builder.prefix(".openapi-").tempfile_in(directory) {
        Ok(file) => file,
        // The file may be ours to write where the directory is not.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.is_file() => {
            return fs::write(&path, text);
        }
        Err(error) => return Err(error),
    };
    file.write_all(text)?;
    file.persist(&path)?;
    Ok(())
}
