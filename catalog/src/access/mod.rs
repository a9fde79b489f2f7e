//! Who may do what: permissions, roles, and the actor in whose name everything is done.
//!
//! In: a session, an API key, a collector's credential or the command line. Out: an [`Actor`], which every operation of the
//! catalog takes, asks for its permission, and writes into the audit log. Never decides from what a page or a request says of
//! itself.

mod actor;
pub mod door;
pub mod entry;
pub mod first;
pub mod keys;
pub mod member;
pub mod organisations;
pub mod password;
mod permission;
mod role;
pub mod roles;
mod throttle;
pub mod users;

pub use actor::{Actor, Via};
pub use door::Door;
pub use permission::{Permission, Permissions};
pub use role::BuiltInRole;
