//! Reading: from text to a [`Description`].
//!
//! In: OpenAPI 3.1, 3.0 or Swagger 2.0, as JSON or YAML. Out: the description and what is wrong with it. Reading is tolerant:
//! only what is no such document at all is an error. `$ref`s inside the document are followed, with an end to chains and
//! cycles; no file and no network is ever touched, and a text of any shape costs time and memory in proportion to its size.

use crate::description::{Description, Version};
use crate::operations;
use crate::problem::Problems;
use crate::schema::{SchemaId, Schemas};
use crate::servers;
use crate::tree::{Node, Value, join, steps};
use crate::{json, yaml};

/// The longest text that is read: 128 MiB, more than twice the largest description published.
pub const MAX_SIZE: usize = 128 << 20;

/// As many `$ref`s in a row are followed.
const MAX_HOPS: usize = 32;

/// Why a text is no description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It begins as JSON and is not.
    #[error(
        "it is not JSON: line {line}, column {column}: found {found}, where {wanted} should be"
    )]
    Json {
        /// From 1.
        line: u32,
        /// From 1, in bytes.
        column: u32,
        /// What is there.
        found: String,
        /// What should be.
        wanted: String,
    },
    /// It is no YAML either.
    #[error("it is not YAML: line {line}, column {column}: {message}")]
    Yaml {
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
        /// What the parser says.
        message: String,
    },
    /// It is data, but no description.
    #[error(
        "it is not an OpenAPI document: {found}; expected an object with `openapi: 3.…` or `swagger: \"2.0\"` and `paths`"
    )]
    NotOpenApi {
        /// What it looks like.
        found: String,
    },
    /// A version nobody reads any more.
    #[error(
        "it is {version}, which is not read; want OpenAPI 3.0, 3.1 or Swagger 2.0 (converters exist for older ones)"
    )]
    Version {
        /// What the document says.
        version: String,
    },
    /// Longer than [`MAX_SIZE`].
    #[error("it has {size} bytes; at most {MAX_SIZE} are read")]
    TooLarge {
        /// Bytes.
        size: usize,
    },
}

impl Description {
    /// Reads a document.
    pub fn read(text: &str) -> Result<Description, ReadError> {
        if text.len() > MAX_SIZE {
            return Err(ReadError::TooLarge { size: text.len() });
        }
        let text = text.trim_start_matches('\u{feff}');
        let mut problems = Problems::default();
        let tree = tree(text, &mut problems)?;
        let version = version(&tree, &mut problems)?;
        let mut reader = Reader {
            root: &tree,
            version,
            problems,
            schemas: Schemas::default(),
            pending: Vec::new(),
        };
        let operations = operations::read(&mut reader);
        reader.read_pending_schemas();
        let servers = servers::servers(&reader);
        let info = |name| {
            let member = tree.get("info").and_then(|info| info.get(name));
            member.and_then(Node::str).unwrap_or_default()
        };
        let api_version = info("version").to_owned();
        let title = info("title").to_owned();
        let Reader {
            problems, schemas, ..
        } = reader;
        Ok(Description {
            version,
            title,
            api_version,
            servers,
            operations,
            schemas,
            problems,
            tree,
        })
    }
}

/// JSON where it begins like JSON; YAML, which takes comments and trailing commas, where that fails.
fn tree(text: &str, problems: &mut Problems) -> Result<Node, ReadError> {
    if !text.trim_start().starts_with(['{', '[']) {
        return yaml::parse(text, problems);
    }
    let error = match json::parse(text, problems) {
        Ok(node) => return Ok(node),
        Err(error) => error,
    };
    *problems = Problems::default();
    match yaml::parse(text, problems) {
        Ok(node) => {
            problems.add("", 1, || format!("{error}; read as YAML"));
            Ok(node)
        }
        Err(_) => Err(error),
    }
}

fn version(tree: &Node, problems: &mut Problems) -> Result<Version, ReadError> {
    let not = |found: String| Err(ReadError::NotOpenApi { found });
    let Some(object) = tree.object() else {
        return not(match &tree.value {
            Value::Null => "it is empty".to_owned(),
            Value::String(text) => {
                let start: String = text.chars().take(40).collect();
                format!("it is the text {start:?}")
            }
            _ => format!("it is {}", tree.kind()),
        });
    };
    let text = |name: &str| match &object.get(name)?.value {
        Value::String(text) | Value::Number(text) => Some(text.to_string()),
        _ => None,
    };
    if let Some(version) = text("openapi") {
        let mut parts = version.split('.');
        return match (parts.next(), parts.next()) {
            (Some("3"), Some("0")) => Ok(Version::OpenApi30),
            (Some("3"), _) => Ok(Version::OpenApi31),
            _ => Err(ReadError::Version {
                version: format!("OpenAPI {version}"),
            }),
        };
    }
    if let Some(version) = text("swagger") {
        return match version.as_str() {
            "2.0" | "2" => Ok(Version::Swagger20),
            _ => Err(ReadError::Version {
                version: format!("Swagger {version}"),
            }),
        };
    }
    if let Some(version) = text("swaggerVersion") {
        return Err(ReadError::Version {
            version: format!("Swagger {version}"),
        });
    }
    if tree.get("log").and_then(|log| log.get("entries")).is_some() {
        return not("it is a HAR recording".to_owned());
    }
    if object
        .get("paths")
        .is_some_and(|paths| paths.object().is_some())
    {
        let assumed = if object.get("definitions").is_some() || object.get("basePath").is_some() {
            Version::Swagger20
        } else {
            Version::OpenApi30
        };
        problems.add("", tree.line, || {
            format!("neither `openapi` nor `swagger` says which version it is; read as {assumed}")
        });
        return Ok(assumed);
    }
    let keys: Vec<&str> = object.iter().map(|(key, _)| key).take(5).collect();
    not(if keys.is_empty() {
        "it is an empty object".to_owned()
    } else {
        format!("it is an object with {}", keys.join(", "))
    })
}

/// What reading one document needs everywhere.
pub(crate) struct Reader<'a> {
    pub(crate) root: &'a Node,
    pub(crate) version: Version,
    pub(crate) problems: Problems,
    pub(crate) schemas: Schemas,
    /// Schemas that have an id and are still to be read.
    pub(crate) pending: Vec<(SchemaId, At<'a>)>,
}

/// A node and where it is.
#[derive(Clone)]
pub(crate) struct At<'a> {
    pub(crate) node: &'a Node,
    pub(crate) pointer: String,
}

impl<'a> At<'a> {
    /// A member, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<At<'a>> {
        Some(At {
            node: self.node.get(name)?,
            pointer: join(&self.pointer, name),
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.node.get(name)?.str()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        // Written as text more often than one would think.
        self.node
            .get(name)
            .is_some_and(|node| node.bool() == Some(true) || node.str() == Some("true"))
    }

    /// Members of an object, or nothing.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'a str, At<'a>)> + use<'a> {
        let pointer = self.pointer.clone();
        self.node
            .object()
            .into_iter()
            .flat_map(|object| object.iter())
            .map(move |(name, node)| {
                let pointer = join(&pointer, name);
                (name, At { node, pointer })
            })
    }

    /// Items of an array, or nothing.
    pub(crate) fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let pointer = self.pointer.clone();
        let items = self.node.array().unwrap_or_default();
        items.iter().enumerate().map(move |(at, node)| At {
            node,
            pointer: join(&pointer, &at.to_string()),
        })
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn root(&self) -> At<'a> {
        At {
            node: self.root,
            pointer: String::new(),
        }
    }

    pub(crate) fn problem(&mut self, at: &At<'_>, message: impl FnOnce() -> String) {
        self.problems.add(&at.pointer, at.node.line, message);
    }

    /// A member that should be an object, `$ref`s followed.
    pub(crate) fn object(&mut self, at: &At<'a>, name: &str) -> Option<At<'a>> {
        let member = at.get(name)?;
        let member = self.follow(member)?;
        if member.node.object().is_some() {
            return Some(member);
        }
        if !matches!(member.node.value, Value::Null) {
            self.problem(&member, || {
                format!(
                    "`{name}` is {}, and should be an object",
                    member.node.kind()
                )
            });
        }
        None
    }

    /// The node itself, or what its `$ref` leads to.
    pub(crate) fn follow(&mut self, at: At<'a>) -> Option<At<'a>> {
        let first = at.clone();
        let mut at = at;
        for _ in 0..MAX_HOPS {
            let Some(reference) = at.node.get("$ref") else {
                return Some(at);
            };
            let Some(target) = reference.str() else {
                // A property that happens to be called `$ref`.
                return Some(at);
            };
            match self.find(target) {
                Some(found) => at = found,
                None => {
                    self.unresolved(&at, target);
                    return None;
                }
            }
        }
        self.problem(&first, || {
            "its `$ref` leads in a circle and never to a value".to_owned()
        });
        None
    }

    fn unresolved(&mut self, at: &At<'a>, target: &str) {
        let shown: String = target.chars().take(120).collect();
        if target.starts_with('#') {
            self.problem(at, || {
                format!("`$ref: {shown}` names nothing in this document")
            });
        } else {
            self.problem(at, || {
                format!("`$ref: {shown}` leads out of this document and is not followed; bundle the files into one")
            });
        }
    }

    /// What a reference names, for `#/a/b` and, as older documents have it, for the bare name of a schema.
    pub(crate) fn find(&self, target: &str) -> Option<At<'a>> {
        let Some(fragment) = target.strip_prefix('#') else {
            if target.contains(['/', '.', '#', ':']) {
                return None;
            }
            return ["/definitions", "/components/schemas"]
                .iter()
                .find_map(|place| self.pointed(&join(place, target)));
        };
        self.pointed(&percent_decoded(fragment))
            .or_else(|| self.pointed(fragment))
    }

    fn pointed(&self, pointer: &str) -> Option<At<'a>> {
        if pointer.is_empty() {
            return Some(self.root());
        }
        if !pointer.starts_with('/') {
            return None;
        }
        let mut at = self.root();
        let mut hops = 0;
        for step in steps(pointer) {
            // A step may lead through something that is itself a reference.
            while at.node.child(&step).is_none() {
                let through = at.node.get("$ref")?.str()?.strip_prefix('#')?;
                hops += 1;
                if hops > 1 {
                    return None;
                }
                let mut target = self.root();
                for step in steps(through) {
                    target = At {
                        node: target.node.child(&step)?,
                        pointer: join(&target.pointer, &step),
                    };
                }
                at = target;
            }
            at = At {
                node: at.node.child(&step)?,
                pointer: join(&at.pointer, &step),
            };
        }
        Some(at)
    }
}

/// RFC 3986, 2.1; what is no valid encoding stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
