//! A map of a few entries that takes no more room than they need.
//!
//! In: keys of a small set, such as methods or classes. Out: their values, in the order of the keys. A node of a B-tree has
//! room for eleven entries; with values of some hundred bytes, and one or two of them nearly everywhere, that is most of a
//! model. Its users bound it: the keys are few by their type.

use serde::{Deserialize, Serialize};

/// Entries sorted by key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sorted<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Sorted {
            entries: Vec::new(),
        }
    }
}

impl<K: Ord, V> Sorted<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The value of `key`, made if need be.
    pub(crate) fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let at = match self.entries.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => at,
            Err(at) => {
                self.entries.reserve_exact(1);
                self.entries.insert(at, (key, V::default()));
                at
            }
        };
        &mut self.entries[at].1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|(k, _)| k)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, v)| v)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, v)| v)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps the entries for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(k, v)| keep(k, v));
        self.entries.shrink_to_fit();
    }

    /// Bytes held for the entries themselves.
    pub(crate) fn heap(&self) -> usize {
        self.entries.capacity() * size_of::<(K, V)>()
    }
}

type Borrowed<'a, K, V> =
    std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

impl<'a, K, V> IntoIterator for &'a Sorted<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Borrowed<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter().map(|(k, v)| (k, v))
    }
}

impl<K, V> IntoIterator for Sorted<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_in_the_order_of_their_keys() {
        let mut map = Sorted::<u8, u32>::default();
        for key in [3, 1, 2, 1, 3, 3] {
            *map.or_default(key) += 1;
        }
        assert_eq!(
            (&map).into_iter().collect::<Vec<_>>(),
            [(&1, &2), (&2, &1), (&3, &3)]
        );
        assert_eq!((map.get(&2), map.get(&9)), (Some(&1), None));
        assert_eq!(map.heap(), 3 * size_of::<(u8, u32)>());
        map.retain(|_, n| *n == 1);
        assert_eq!((map.len(), map.heap()), (1, size_of::<(u8, u32)>()));
    }
}
