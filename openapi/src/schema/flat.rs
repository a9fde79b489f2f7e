//! A schema with what its `allOf` adds, in one piece.
//!
//! In: the arena and a schema's number. Out: a [`Flat`], which says what values the schema takes without looking further, but for
//! properties, items and alternatives, which stay numbers. Parts that refer to each other end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Additional, SchemaId, Schemas, Types};

/// A schema with what its `allOf` adds, for looking at what values it takes.
#[derive(Debug, Clone)]
pub(crate) struct Flat {
    pub(crate) types: Types,
    pub(crate) nullable: bool,
    pub(crate) format: Option<String>,
    pub(crate) values: Option<BTreeSet<String>>,
    pub(crate) properties: BTreeMap<String, SchemaId>,
    pub(crate) required: BTreeSet<String>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<SchemaId>,
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

/// `allOf`s within `allOf`s.
const MAX_PARTS: usize = 256;

impl Schemas {
    /// Lays a schema together.
    pub(crate) fn flat(&self, id: SchemaId) -> Flat {
        let mut flat = Flat {
            types: Types::ANY,
            nullable: false,
            format: None,
            values: None,
            properties: BTreeMap::new(),
            required: BTreeSet::new(),
            additional: Additional::Open,
            items: None,
            alternatives: Vec::new(),
            discriminator: None,
            bounds: BTreeMap::new(),
            pattern: None,
            unique: false,
            read_only: false,
            write_only: false,
            deprecated: false,
            default: None,
        };
        let mut taken = Vec::new();
        let mut null = self.get(id).nullable;
        self.lay(id, &mut flat, &mut taken);
        // One alternative is no choice: `anyOf: [X, null]` is a nullable X.
        while let [only] = flat.alternatives.as_slice() {
            let only = *only;
            if taken.contains(&only) || taken.len() > MAX_PARTS {
                break;
            }
            null |= self.get(only).nullable;
            flat.alternatives.clear();
            self.lay(only, &mut flat, &mut taken);
        }
        if null {
            flat.types = flat.types.with(Types::NULL);
        }
        flat.nullable = null;
        flat
    }

    fn lay(&self, id: SchemaId, flat: &mut Flat, taken: &mut Vec<SchemaId>) {
        if taken.contains(&id) || taken.len() > MAX_PARTS {
            return;
        }
        taken.push(id);
        let schema = self.get(id);
        for part in &schema.all_of {
            self.lay(*part, flat, taken);
        }
        if let Some(types) = schema.types {
            let both = flat.types.both(types);
            // Parts that exclude each other: the later one is what the author looked at last.
            flat.types = if both.is_none() { types } else { both };
        }
        if let Some(values) = &schema.values {
            flat.values = Some(match flat.values.take() {
                Some(known) => known.intersection(values).cloned().collect(),
                None => values.clone(),
            });
        }
        if schema.format.is_some() {
            flat.format.clone_from(&schema.format);
        }
        flat.properties.extend(
            schema
                .properties
                .iter()
                .map(|(name, id)| (name.clone(), *id)),
        );
        flat.required.extend(schema.required.iter().cloned());
        if schema.additional != Additional::Open {
            flat.additional = schema.additional.clone();
        }
        flat.items = schema.items.or(flat.items);
        flat.alternatives.extend(&schema.alternatives);
        if schema.discriminator.is_some() {
            flat.discriminator.clone_from(&schema.discriminator);
        }
        flat.bounds.extend(&schema.bounds);
        if schema.pattern.is_some() {
            flat.pattern.clone_from(&schema.pattern);
        }
        flat.unique |= schema.unique;
        flat.read_only |= schema.read_only;
        flat.write_only |= schema.write_only;
        flat.deprecated |= schema.deprecated;
        if schema.default.is_some() {
            flat.default.clone_from(&schema.default);
        }
    }

    /// The types a schema admits, its alternatives' included.
    pub(crate) fn types(&self, flat: &Flat) -> Types {
        if flat.alternatives.is_empty() {
            return flat.types;
        }
        let mut any = Types::NONE;
        for id in &flat.alternatives {
            any = any.with(self.flat(*id).types);
        }
        let both = flat.types.both(any);
        if flat.nullable {
            both.with(Types::NULL)
        } else {
            both
        }
    }
}
