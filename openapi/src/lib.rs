//! OpenAPI and Swagger documents as data, and what differs between two.
//!
//! In: text: OpenAPI 3.1, 3.0 or Swagger 2.0, JSON or YAML. Out: a [`Description`] of its operations, and a [`Report`]:
//! [`diff`] says what changed from one version of a description to the next and whom it breaks; [`drift`] says where a
//! description and the traffic part: shadow (seen, not documented), zombie (deprecated, still called), orphan (documented,
//! never called) and what contradicts.
//!
//! Reading is tolerant and total: what is wrong is collected, not fatal, and no text makes it panic, recurse without end, or
//! take time or memory out of proportion. It never touches a file or the network, so references out of a document are
//! reported, not followed. Results do not depend on the order of anything in a document.

mod description;
mod diff;
mod drift;
mod json;
mod operations;
mod problem;
mod reach;
mod read;
mod report;
mod rule;
mod schema;
mod servers;
mod template;
mod tree;
mod yaml;

pub use description::{
    Body, Content, Credential, Description, Operation, Parameter, Place, Response, Security, Seen,
    Version,
};
pub use diff::diff;
pub use drift::drift;
pub use problem::Problem;
pub use read::{MAX_SIZE, ReadError};
pub use report::{Finding, Report};
pub use rule::{Class, Level, Rule};
pub use schema::SchemaId;
pub use template::{Cover, Template};
