//! A key: text that mostly is short, in sixteen bytes.
//!
//! In: text. Out: the same text. Names of members, headers and words of paths rarely have more than fourteen bytes; a
//! piece of memory of its own for each would take more than the names.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const SHORT: usize = 14;

/// Text that does not change.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// The first bytes are the text, as many as the number says.
    Short(u8, [u8; SHORT]),
    /// Twice boxed: a pointer with a length would make every name longer.
    Long(Box<Box<str>>),
}

impl Name {
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Name::Long(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Name::Short(..) => std::str::from_utf8(self.as_bytes()).unwrap_or(""),
            Name::Long(text) => text,
        }
    }

    pub(crate) fn heap(&self) -> usize {
        match self {
            Name::Short(..) => 0,
            Name::Long(text) => size_of::<Box<str>>() + text.len(),
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Name::Short(text.len() as u8, bytes)
            }
            None => Name::Long(Box::new(text.into())),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        Ok(Name::from(&*Box::<str>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_text_and_small() {
        for text in [
            "",
            "id",
            "größe",
            "fourteen bytes",
            "fifteen letters",
            "a very long name indeed 🦀",
        ] {
            let name = Name::from(text);
            assert_eq!((name.as_str(), name.heap() > 0), (text, text.len() > SHORT));
            let bytes = postcard::to_stdvec(&name).unwrap();
            assert_eq!(postcard::from_bytes::<Name>(&bytes).unwrap(), name);
        }
        assert_eq!(size_of::<Name>(), 16);
    }
}
