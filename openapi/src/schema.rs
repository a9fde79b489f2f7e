//! Schemas: one form for the JSON Schema dialects of OpenAPI 3.1, 3.0 and Swagger 2.0.
//!
//! In: schema nodes, wherever they are. Out: an arena in which each schema of the document stands once, so that `$ref`s and
//! recursion are numbers and nothing is copied; and [`Flat`], a schema with its `allOf` laid together. What is not referred
//! to by an operation is not read. `nullable`, `x-nullable`, `type: [.., "null"]` and `anyOf: [.., {type: "null"}]` come
//! out the same; so do `const` and an `enum` of one.

mod flat;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::description::Version;
use crate::read::{At, Reader};
use crate::tree::{Node, Value};
pub(crate) use flat::Flat;

/// A schema of one description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(u32);

/// The types a value may have, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const NULL: Types = Types(1);
    pub(crate) const BOOLEAN: Types = Types(2);
    pub(crate) const INTEGER: Types = Types(4);
    /// Integers are numbers.
    pub(crate) const NUMBER: Types = Types(8 | 4);
    pub(crate) const STRING: Types = Types(16);
    pub(crate) const ARRAY: Types = Types(32);
    pub(crate) const OBJECT: Types = Types(64);
    pub(crate) const ANY: Types = Types(127);
    pub(crate) const NONE: Types = Types(0);

    fn named(name: &str) -> Option<Types> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" | "int" | "long" => Self::INTEGER,
            "number" | "float" | "double" => Self::NUMBER,
            "string" | "file" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            "any" => Self::ANY,
            _ => return None,
        })
    }

    pub(crate) fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    pub(crate) fn both(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    pub(crate) fn has(self, other: Types) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for Types {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::ANY || *self == Self::ANY.without(Self::NULL) {
            return f.write_str("any type");
        }
        let mut names = Vec::new();
        for (types, name) in [
            (Self::OBJECT, "object"),
            (Self::ARRAY, "array"),
            (Self::STRING, "string"),
            (Self::NUMBER, "number"),
            (Self::INTEGER, "integer"),
            (Self::BOOLEAN, "boolean"),
            (Self::NULL, "null"),
        ] {
            if self.has(types) && !(name == "integer" && self.has(Self::NUMBER)) {
                names.push(name);
            }
        }
        if names.is_empty() {
            names.push("nothing");
        }
        f.write_str(&names.join(" or "))
    }
}

/// What members beyond the named ones an object may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Additional {
    /// Nothing is said: anything.
    Open,
    /// None.
    Closed,
    /// Values of this schema.
    Of(SchemaId),
}

/// One schema as it stands in the document, references replaced by ids.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) pointer: String,
    /// `None` where nothing is said.
    pub(crate) types: Option<Types>,
    /// Whether null is taken whatever else is said.
    pub(crate) nullable: bool,
    pub(crate) format: Option<String>,
    /// Canonical JSON of the values, without null.
    pub(crate) values: Option<BTreeSet<String>>,
    pub(crate) properties: BTreeMap<String, SchemaId>,
    pub(crate) required: BTreeSet<String>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<SchemaId>,
    pub(crate) all_of: Vec<SchemaId>,
    /// `oneOf` and `anyOf`, each without null.
    pub(crate) alternatives: Vec<SchemaId>,
    pub(crate) discriminator: Option<String>,
    pub(crate) bounds: BTreeMap<&'static str, f64>,
    pub(crate) pattern: Option<String>,
    pub(crate) unique: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) deprecated: bool,
    pub(crate) default: Option<String>,
}

impl Schema {
    /// Says nothing: takes anything.
    pub(crate) fn any() -> Schema {
        Schema {
            pointer: String::new(),
            types: None,
            nullable: false,
            format: None,
            values: None,
            properties: BTreeMap::new(),
            required: BTreeSet::new(),
            additional: Additional::Open,
            items: None,
            all_of: Vec::new(),
            alternatives: Vec::new(),
            discriminator: None,
            bounds: BTreeMap::new(),
            pattern: None,
            unique: false,
            read_only: false,
            write_only: false,
            deprecated: false,
            default: None,
        }
    }

    pub(crate) fn object() -> Schema {
        Schema {
            types: Some(Types::OBJECT),
            ..Schema::any()
        }
    }
}

/// Keywords whose value is a bound on size or amount.
pub(crate) const LOWER_BOUNDS: [&str; 5] = [
    "minimum",
    "exclusiveMinimum",
    "minLength",
    "minItems",
    "minProperties",
];
pub(crate) const UPPER_BOUNDS: [&str; 5] = [
    "maximum",
    "exclusiveMaximum",
    "maxLength",
    "maxItems",
    "maxProperties",
];

/// All schemas that operations refer to.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    all: Vec<Schema>,
    /// By the address of their node: a tree that is not changed keeps its nodes where they are.
    known: HashMap<usize, SchemaId>,
}

impl Schemas {
    pub(crate) fn get(&self, id: SchemaId) -> &Schema {
        // Ids are made by `add` alone.
        &self.all[id.0 as usize]
    }

    pub(crate) fn add(&mut self, schema: Schema) -> SchemaId {
        let id = SchemaId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(schema);
        id
    }
}

impl<'a> Reader<'a> {
    /// The id of a schema; it is read later, so that no nesting is recursed into.
    pub(crate) fn schema(&mut self, at: &At<'a>) -> SchemaId {
        let at = if is_reference(at, self.version) {
            match self.follow(at.clone()) {
                Some(target) => target,
                // Reported; what it is cannot be known.
                None => {
                    let unknown = Schema {
                        pointer: at.pointer.clone(),
                        ..Schema::any()
                    };
                    return self.schemas.add(unknown);
                }
            }
        } else {
            at.clone()
        };
        let address = std::ptr::from_ref(at.node) as usize;
        if let Some(id) = self.schemas.known.get(&address) {
            return *id;
        }
        let id = self.schemas.add(Schema {
            pointer: at.pointer.clone(),
            ..Schema::any()
        });
        self.schemas.known.insert(address, id);
        self.pending.push((id, at));
        id
    }

    /// Reads what [`Reader::schema`] put off, until nothing is left.
    pub(crate) fn read_pending_schemas(&mut self) {
        while let Some((id, at)) = self.pending.pop() {
            let schema = self.read_schema(&at);
            if let Some(place) = self.schemas.all.get_mut(id.0 as usize) {
                *place = schema;
            }
        }
    }

    fn read_schema(&mut self, at: &At<'a>) -> Schema {
        let mut schema = Schema {
            pointer: at.pointer.clone(),
            ..Schema::any()
        };
        match &at.node.value {
            Value::Object(_) => {}
            Value::Bool(true) | Value::Null => return schema,
            Value::Bool(false) => {
                schema.types = Some(Types::NONE);
                return schema;
            }
            _ => {
                self.problem(at, || {
                    format!("the schema is {}, and should be an object", at.node.kind())
                });
                return schema;
            }
        }
        // OpenAPI 3.1: what stands beside a reference holds as well.
        if let Some(reference) = at.text("$ref")
            && let Some(target) = self.find(reference)
            && !std::ptr::eq(target.node, at.node)
        {
            let id = self.schema(&target);
            schema.all_of.push(id);
        }
        self.values(at, &mut schema);
        self.types(at, &mut schema);
        self.members(at, &mut schema);
        self.composition(at, &mut schema);
        bounds(at, &mut schema);
        schema.format = at.text("format").map(str::to_owned);
        if at.text("type") == Some("file") {
            schema.format = Some("binary".to_owned());
        }
        schema.pattern = at.text("pattern").map(str::to_owned);
        schema.unique = at.flag("uniqueItems");
        schema.read_only = at.flag("readOnly");
        schema.write_only = at.flag("writeOnly");
        schema.deprecated = at.flag("deprecated");
        schema.default = at.node.get("default").map(Node::canonical);
        schema
    }

    fn values(&mut self, at: &At<'a>, schema: &mut Schema) {
        let listed = at.get("enum");
        let mut nodes: Vec<&Node> = listed
            .iter()
            .flat_map(At::items)
            .map(|at| at.node)
            .collect();
        if let Some(constant) = at.node.get("const") {
            nodes = vec![constant];
        }
        if nodes.is_empty() {
            return;
        }
        let mut types = Types::NONE;
        let mut values = BTreeSet::new();
        for node in nodes {
            types = types.with(match &node.value {
                Value::Null => Types::NULL,
                Value::Bool(_) => Types::BOOLEAN,
                Value::Number(text) if text.contains(['.', 'e', 'E']) => Types::NUMBER,
                Value::Number(_) => Types::INTEGER,
                Value::String(_) => Types::STRING,
                Value::Array(_) => Types::ARRAY,
                Value::Object(_) => Types::OBJECT,
            });
            if !matches!(node.value, Value::Null) {
                values.insert(node.canonical());
            }
        }
        schema.types = Some(types);
        schema.values = (!values.is_empty()).then_some(values);
    }

    fn types(&mut self, at: &At<'a>, schema: &mut Schema) {
        let mut said = Types::NONE;
        if let Some(kind) = at.get("type") {
            let names: Vec<At<'a>> = match kind.node.array() {
                Some(_) => kind.items().collect(),
                None => vec![kind],
            };
            for name in names {
                match name.node.str().and_then(Types::named) {
                    Some(types) => said = said.with(types),
                    None => self.problem(&name, || {
                        format!(
                            "type is {}; want string, number, integer, boolean, array, object or null",
                            name.node.shown(60)
                        )
                    }),
                }
            }
        }
        if said.is_none() {
            // What only objects or arrays can have means that one is meant, as authors have it, though JSON Schema does not.
            let has = |names: &[&str]| names.iter().any(|name| at.node.get(name).is_some());
            if has(&["properties", "additionalProperties", "required"]) {
                said = Types::OBJECT;
            } else if has(&["items", "prefixItems"]) {
                said = Types::ARRAY;
            }
        }
        if !said.is_none() {
            // An enum's values say it more narrowly where they agree with the type.
            let narrow = schema.types.map_or(Types::NONE, |types| types.both(said));
            schema.types = Some(match schema.types {
                // `type: integer` with texts as values: the author means the values, and generated code the type.
                Some(listed) if narrow.without(Types::NULL).is_none() => said.with(listed),
                Some(_) => narrow,
                None => said,
            });
        }
        schema.nullable = at.flag("nullable") || at.flag("x-nullable");
    }

    fn members(&mut self, at: &At<'a>, schema: &mut Schema) {
        if let Some(properties) = self.object(at, "properties") {
            for (name, property) in properties.members() {
                let id = self.schema(&property);
                schema.properties.insert(name.to_owned(), id);
            }
        }
        let required = at.get("required");
        for name in required.iter().flat_map(At::items) {
            if let Some(name) = name.node.str() {
                schema.required.insert(name.to_owned());
            }
        }
        if let Some(additional) = at.get("additionalProperties") {
            schema.additional = match additional.node.value {
                Value::Bool(false) => Additional::Closed,
                Value::Object(ref object) if object.iter().next().is_some() => {
                    Additional::Of(self.schema(&additional))
                }
                _ => Additional::Open,
            };
        }
        if let Some(items) = at.get("items") {
            // Drafts before 2020-12 have tuples here; what each place holds is not compared.
            schema.items = items.node.array().is_none().then(|| self.schema(&items));
        }
    }

    fn composition(&mut self, at: &At<'a>, schema: &mut Schema) {
        let list = at.get("allOf");
        for part in list.iter().flat_map(At::items) {
            let id = self.schema(&part);
            schema.all_of.push(id);
        }
        for name in ["oneOf", "anyOf"] {
            let list = at.get(name);
            for part in list.iter().flat_map(At::items) {
                if is_null(part.node) {
                    schema.nullable = true;
                } else {
                    let id = self.schema(&part);
                    schema.alternatives.push(id);
                }
            }
        }
        schema.discriminator = match at.node.get("discriminator").map(|node| &node.value) {
            Some(Value::String(name)) => Some(name.to_string()),
            Some(Value::Object(object)) => object
                .get("propertyName")
                .and_then(Node::str)
                .map(str::to_owned),
            _ => None,
        };
    }
}

/// Whether a schema is nothing but a reference. Before 3.1, what stands beside `$ref` does not count (OpenAPI 3.0, "Reference
/// Object").
fn is_reference(at: &At<'_>, version: Version) -> bool {
    if at.text("$ref").is_none() {
        return false;
    }
    const SILENT: [&str; 8] = [
        "$ref",
        "description",
        "summary",
        "title",
        "example",
        "examples",
        "deprecated",
        "$comment",
    ];
    version != Version::OpenApi31
        || at.node.object().is_some_and(|object| {
            object
                .iter()
                .all(|(name, _)| SILENT.contains(&name) || name.starts_with("x-"))
        })
}

fn is_null(node: &Node) -> bool {
    let only_null = |node: &Node| matches!(node.value, Value::Null);
    match node.get("type").map(|kind| &kind.value) {
        Some(Value::String(name)) => &**name == "null",
        _ => node
            .get("enum")
            .and_then(Node::array)
            .is_some_and(|values| matches!(values, [one] if only_null(one))),
    }
}

fn bounds(at: &At<'_>, schema: &mut Schema) {
    for name in LOWER_BOUNDS
        .into_iter()
        .chain(UPPER_BOUNDS)
        .chain(["multipleOf"])
    {
        if let Some(bound) = at.node.get(name).and_then(Node::number) {
            schema.bounds.insert(name, bound);
        }
    }
    // Before 3.1 the exclusive ones were flags.
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if at.flag(flag)
            && let Some(value) = schema.bounds.remove(bound)
        {
            schema.bounds.insert(flag, value);
        }
    }
}

/// Whether a pointer is of a component or of a place in one: such are called by their name, whoever leads there.
pub(crate) fn is_named(pointer: &str) -> bool {
    pointer.starts_with("/components/schemas/") || pointer.starts_with("/definitions/")
}

/// How people call a place in a schema: `Book.authors[].name`, or `.authors[]` in a schema without a name.
pub(crate) fn label(pointer: &str) -> String {
    let steps: Vec<String> = crate::tree::steps(pointer).collect();
    let texts: Vec<&str> = steps.iter().map(String::as_str).collect();
    let (name, rest): (&str, &[&str]) = match texts.as_slice() {
        ["components", "schemas", name, rest @ ..] | ["definitions", name, rest @ ..] => {
            (name, rest)
        }
        all => match all.iter().position(|step| *step == "schema") {
            Some(at) => ("", all.get(at + 1..).unwrap_or_default()),
            None => ("", &[]),
        },
    };
    let mut out = name.to_owned();
    let mut rest = rest.iter();
    while let Some(step) = rest.next() {
        match *step {
            "properties" => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(rest.next().copied().unwrap_or_default());
            }
            "items" => out.push_str("[]"),
            "additionalProperties" => out.push_str(".*"),
            "allOf" => {
                rest.next();
            }
            "oneOf" | "anyOf" => {
                let number = rest.next().and_then(|text| text.parse::<usize>().ok());
                out.push_str(&format!("(alternative {})", number.unwrap_or(0) + 1));
            }
            _ => {}
        }
    }
    out
}
