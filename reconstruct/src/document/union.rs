//! Objects that are of several kinds, told apart by the word of one member.
//!
//! In: the objects at one position. Out: the member that tells them apart and what each of its words brings along, on strong
//! evidence only: one object with optional members is right as well, a wrong union misleads. Every whole object seen is one of
//! the kinds.

use super::vocabulary;
use crate::discriminator::{Word, has};
use crate::shape::{Objects, Shape};
use std::collections::BTreeSet;

/// Objects of each kind. A member that is there half of the time is always or never there in eight with a chance of 1 in 128.
const LEAST_OBJECTS: u64 = 8;
/// Members that the word decides: there with some words always, with others never.
const LEAST_DECIDED: usize = 2;

/// The kinds of objects at one position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Union<'o> {
    /// The member that tells them apart.
    pub discriminator: &'o str,
    pub kinds: Vec<Kind<'o>>,
}

/// Objects with one word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind<'o> {
    pub word: &'o str,
    pub members: Vec<&'o str>,
    pub required: Vec<&'o str>,
}

impl<'o> Union<'o> {
    /// The kinds, if there are any. Of several members that tell the same kinds apart the one with the shortest name does.
    pub(crate) fn of(objects: &'o Objects) -> Option<Union<'o>> {
        let whole = !objects.members.is_thinned() && objects.members.rest().is_none();
        let mut candidates: Vec<(&str, &[Word])> = objects
            .discriminators
            .as_ref()
            .filter(|_| whole)?
            .candidates()
            .filter_map(|(slot, words)| Some((objects.members.iter().nth(slot)?.0, words)))
            .collect();
        candidates.sort_by_key(|(name, _)| (name.len(), *name));
        let decided = |(name, words)| decided(objects, name, words);
        let union = candidates.into_iter().find_map(decided)?;
        // A reference to the object around it would mean one of the kinds only.
        (!objects.members.iter().any(|(_, p)| recurs(&p.shape))).then_some(union)
    }
}

fn decided<'o>(objects: &'o Objects, name: &'o str, words: &'o [Word]) -> Option<Union<'o>> {
    let count = words.iter().map(|w| w.count).sum::<u64>();
    let tag = &objects.members.get(name)?.shape;
    let texts = tag.strings.as_ref()?;
    if words.len() < 2
        || words.iter().any(|w| w.count < LEAST_OBJECTS)
        // Some objects did without it, or it was no text.
        || count != u64::from(objects.complete)
        || texts.count != tag.seen()
        || texts.empty > 0
        // Cut bodies may have shown other words.
        || !vocabulary::enumeration(texts, name)?
            .iter()
            .eq(words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().iter())
    {
        return None;
    }
    let always = |w: &Word, at| has(w.present, at) && !has(w.absent, at);
    let never = |w: &Word, at| !has(w.present, at);
    let decided: Vec<usize> = (0..objects.members.len())
        .filter(|at| words.iter().all(|w| always(w, *at) || never(w, *at)))
        .filter(|at| words.iter().any(|w| always(w, *at)) && words.iter().any(|w| never(w, *at)))
        .collect();
    let kinds: BTreeSet<Vec<bool>> = words
        .iter()
        .map(|w| decided.iter().map(|at| always(w, *at)).collect())
        .collect();
    // Words that bring the same are fine, unless most do: then the word is not what tells kinds apart.
    if decided.len() < LEAST_DECIDED || kinds.len() * 2 < words.len() {
        return None;
    }
    let kinds = words.iter().map(|word| {
        let named = |which: &dyn Fn(usize) -> bool| {
            let all = objects.members.iter().enumerate();
            all.filter(|(at, _)| which(*at))
                .map(|(_, (name, _))| name)
                .collect()
        };
        let somewhere = |at| words.iter().any(|w| has(w.present, at));
        Kind {
            word: word.text.as_str(),
            // What only cut bodies had may belong to any.
            members: named(&|at| has(word.present, at) || !somewhere(at)),
            required: named(&|at| always(word, at)),
        }
    });
    Some(Union {
        discriminator: name,
        kinds: kinds.collect(),
    })
}

fn recurs(shape: &Shape) -> bool {
    shape.arrays.as_ref().is_some_and(|a| recurs(&a.items))
        || shape
            .objects
            .as_ref()
            .is_some_and(|o| o.up > 0 || o.members.iter().any(|(_, p)| recurs(&p.shape)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::Seen;
    use crate::json;

    /// Draws `a: +x ?y, b: +z` from bodies, each learnt so often.
    fn check(bodies: &[(usize, &str)], expected: Option<&str>) {
        let mut shape = Shape::default();
        for (n, body) in bodies {
            for _ in 0..*n {
                json::learn(&mut shape, body.as_bytes(), true, 0, &mut Seen::default());
            }
        }
        let objects = shape.objects.unwrap_or_default();
        let drawn = Union::of(&objects).map(|u| {
            let kind = |k: &Kind<'_>| {
                let sign = |m: &str| if k.required.contains(&m) { "+" } else { "?" };
                let members: Vec<String> = k
                    .members
                    .iter()
                    .map(|m| format!("{}{m}", sign(m)))
                    .collect();
                format!("{}: {}", k.word, members.join(" "))
            };
            u.kinds.iter().map(kind).collect::<Vec<_>>().join(", ")
        });
        assert_eq!(drawn.as_deref(), expected, "{bodies:?}");
    }

    #[test]
    fn a_word_that_decides_two_members_tells_kinds_apart() {
        check(
            &[
                (8, r#"{"type":"card","number":"1"}"#),
                (1, r#"{"type":"card","number":"1","note":"n"}"#),
                (9, r#"{"type":"bank","iban":"x"}"#),
            ],
            Some("bank: +iban +type, card: ?note +number +type"),
        );
        // `object` comes later than `kind`, and both tell.
        check(
            &[
                (9, r#"{"kind":"a","object":"x","p":1}"#),
                (9, r#"{"q":1,"object":"y","kind":"b"}"#),
            ],
            Some("a: +kind +object +p, b: +kind +object +q"),
        );
    }

    #[test]
    fn weaker_evidence_tells_nothing() {
        let (a, b) = (r#"{"type":"a","p":1}"#, r#"{"type":"b","q":1}"#);
        check(&[(9, a), (7, b)], None);
        check(&[(20, a), (20, b), (1, r#"{"p":1}"#)], None);
        check(&[(20, a), (20, b), (1, r#"{"type":null}"#)], None);
        check(&[(20, a), (20, b), (1, r#"{"type":7,"p":1}"#)], None);
        check(&[(20, a), (20, b), (1, r#"{"type":"a","q":1}"#)], None);
        check(&[(20, a), (20, b), (1, r#"{"type":"c","q":1}"#)], None);
        check(
            &[
                (20, a),
                (20, b),
                (1, r#"{"type":"a","type":"b","p":1,"q":1}"#),
            ],
            None,
        );
        check(&[(20, a), (20, r#"{"type":"b"}"#)], None);
        check(
            &[(20, r#"{"name":"a","p":1}"#), (20, r#"{"name":"b","q":1}"#)],
            None,
        );
    }
}
