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
    /// The format its segment ended in, where several were put together.
    pub format: Option<String>,
}

impl<'a> Place<'a> {
    /// The root of a tree.
    pub(crate) fn root(node: &'a Node) -> Place<'a> {
        Place {
            node,
            way: Vec::new(),
            format: None,
        }
    }

    /// A child whose segment is still to be judged.
    pub(crate) fn child(&self, node: &'a Node) -> Place<'a> {
        Place {
            node,
            way: self.way.clone(),
            format: None,
        }
    }

    /// The same, once its segment is known to be an instance of a part.
    pub(crate) fn inside(mut self, part: &Part) -> Place<'a> {
        self.way.extend(part.parameters().cloned());
        if let Some(format) = self.format.take()
            && part.ends_with_format()
            && let Some(kinds) = self.way.last_mut()
        {
            kinds.formats.insert(format, 0);
        }
        self
    }
}

/// The nodes of some places.
pub(crate) fn nodes<'a>(places: &[Place<'a>]) -> Vec<&'a Node> {
    places.iter().map(|p| p.node).collect()
}
