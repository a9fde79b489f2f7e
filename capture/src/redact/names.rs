//! Sets of names whose values are secret: header fields, query parameters, JSON fields.
//!
//! In: a name as it occurs. Out: whether it is in the set. Case, `-`, `_` and spaces make no difference (`apiKey`,
//! `api_key`, `API-Key`), and only the last component of a path counts (`user[password]`, `user.password`). An entry with
//! a leading `*` matches every name that ends so.
//!
//! Most names are not in the set, so the last three significant characters are looked up first, in a table of 4096 bits.

/// How many significant characters of a name are compared. Longer names are compared by their end.
const LONGEST: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Bit `tail_hash(name)` is set when some entry ends like it.
    filter: [u64; 64],
    entries: Vec<Entry>,
}

impl Default for Names {
    fn default() -> Names {
        Names {
            filter: [0; 64],
            entries: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Normalised: lower case, without `-`, `_` and spaces.
    name: Vec<u8>,
    tail: u16,
    ending: bool,
}

impl Names {
    pub(crate) const ACCEPTS: &'static str = "a name of letters, digits, `-` and `_`, at most 64 characters, with a leading `*` for every name that ends so (`*token`)";

    /// Adds one entry; `None` when it is not one.
    pub(crate) fn add(&mut self, entry: &str) -> Option<()> {
        let (ending, name) = match entry.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, entry),
        };
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        {
            return None;
        }
        let normal: Vec<u8> = significant_from_the_end(name.as_bytes()).collect();
        if normal.is_empty() || normal.len() > LONGEST || (ending && normal.len() < 3) {
            return None;
        }
        let tail = tail_hash(name.as_bytes());
        if let Some(word) = self.filter.get_mut(usize::from(tail >> 6)) {
            *word |= 1 << (tail & 63);
        }
        let entry = Entry {
            name: normal,
            tail,
            ending,
        };
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
        Some(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a text that ends with some name's end could be in the set: no false negatives, few false positives.
    #[inline]
    pub(crate) fn may_end(&self, text: &[u8]) -> bool {
        let tail = tail_hash(text);
        self.filter
            .get(usize::from(tail >> 6))
            .is_some_and(|word| word >> (tail & 63) & 1 == 1)
    }

    #[inline]
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.may_end(name) && self.find(name)
    }

    #[cold]
    fn find(&self, name: &[u8]) -> bool {
        let tail = tail_hash(name);
        self.entries
            .iter()
            .filter(|entry| entry.tail == tail)
            .any(|entry| {
                let mut given = significant_from_the_end(name);
                entry
                    .name
                    .iter()
                    .all(|wanted| given.next() == Some(*wanted))
                    && (entry.ending || given.next().is_none())
            })
    }
}

/// The characters of a name that count, lower case, last first. Stops where the last component begins.
fn significant_from_the_end(name: &[u8]) -> impl Iterator<Item = u8> + '_ {
    name.iter()
        .rev()
        .skip_while(|b| matches!(b, b']' | b'['))
        .take_while(|b| {
            !matches!(
                b,
                b'[' | b'.' | b'"' | b'&' | b'?' | b';' | b'{' | b',' | b'<' | b'/' | b'=' | b':'
            )
        })
        .filter(|b| !matches!(b, b'-' | b'_' | b' '))
        .map(|b| b.to_ascii_lowercase())
}

#[inline(always)]
fn tail_hash(name: &[u8]) -> u16 {
    if let [.., before, b, c] = name {
        let (a, b, c) = (plain(*before), plain(*b), plain(*c));
        if a != 0 && b != 0 && c != 0 {
            return hash(u32::from(c) << 16 | u32::from(b) << 8 | u32::from(a));
        }
        if *before == b'"' && b != 0 && c != 0 {
            return hash(u32::from(c) << 8 | u32::from(b));
        }
    }
    tail_hash_slowly(name)
}

#[cold]
fn tail_hash_slowly(name: &[u8]) -> u16 {
    hash(
        significant_from_the_end(name)
            .take(3)
            .fold(0, |tail, byte| tail << 8 | u32::from(byte)),
    )
}

#[inline]
fn hash(tail: u32) -> u16 {
    (tail.wrapping_mul(0x9E37_79B1) >> 20) as u16
}

/// A letter, in lower case, or a digit; 0 for whatever else.
#[inline(always)]
fn plain(byte: u8) -> u8 {
    const PLAIN: [u8; 256] = {
        let mut table = [0; 256];
        let mut byte = 0u8;
        while byte < 128 {
            if byte.is_ascii_alphanumeric() {
                // While compiling; an index beyond the table would not compile.
                #[allow(clippy::indexing_slicing)]
                {
                    table[byte as usize] = byte.to_ascii_lowercase();
                }
            }
            byte += 1;
        }
        table
    };
    PLAIN.get(usize::from(byte)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(entries: &[&str]) -> Names {
        let mut names = Names::default();
        for entry in entries {
            names.add(entry).unwrap();
        }
        names
    }

    #[test]
    fn spelling_makes_no_difference() {
        let set = names(&["api_key", "*password", "pw", "ssn"]);
        for yes in [
            "api_key",
            "apiKey",
            "API-KEY",
            "api key",
            "password",
            "newPassword",
            "new_pass-word",
            "user[password]",
            "user[password][]",
            "user.password",
            "PW",
            "p_w",
            "ssn",
        ] {
            assert!(set.contains(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "key",
            "my_api_key",
            "passwords",
            "password.hint",
            "xpw",
            "ssn1",
            "assn",
        ] {
            assert!(!set.contains(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_name_with_its_surroundings_passes_the_filter() {
        let set = names(&["pw", "*token"]);
        assert!(set.may_end(b"{\"a\":1,\"pw"));
        assert!(set.may_end(b"?a=1&refresh_token"));
        assert!(!set.may_end(b"\"name"));
    }

    #[test]
    fn the_quick_hash_is_the_slow_one() {
        for name in ["Password", "x1Y", "a-b", "abc_", "\"id", "é12", "ab", ""] {
            assert_eq!(
                tail_hash(name.as_bytes()),
                tail_hash_slowly(name.as_bytes()),
                "{name}"
            );
        }
    }

    #[test]
    fn entries_are_checked() {
        for bad in [
            "",
            "*",
            "-",
            "*ab",
            "pass word",
            "a*b",
            "naïve",
            &"x".repeat(65),
        ] {
            assert_eq!(Names::default().add(bad), None, "{bad}");
        }
    }
}
