//! A node of the tree, and the values on the way to it.
//!
//! In: nodes as the fold walks down, and the parts it chose for them. Out: places that remember what the values of each
//! parameter looked like, so that every operation knows its own: `/users/me` may be read and only `/users/42` deleted.

use crate::part::{Kinds, Part};
use crate::tree::Node;

/// A node, reached over values.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub node: &'a Node,
    /// What the value of each parameter on the way looked like, in order.
    pub way: Vec<Kinds>,
}

impl<'a> Place<'a> {
    /// The root of a tree.
    pub(crate) fn root(node: &'a Node) -> Place<'a> {
        Place {
            node,
            way: Vec::new(),
        }
    }

    /// A child whose segment is still to be judged.
    pub(crate) fn child(&self, node: &'a Node) -> Place<'a> {
        Place {
            node,
            way: self.way.clone(),
        }
    }

    /// The same, once its segment is known to be an instance of a part.
    pub(crate) fn inside(mut self, part: &Part) -> Place<'a> {
        self.way.extend(part.parameters().cloned());
        self
    }
}

/// The nodes of some places.
pub(crate) fn nodes<'a>(places: &[Place<'a>]) -> Vec<&'a Node> {
    places.iter().map(|p| p.node).collect()
}
