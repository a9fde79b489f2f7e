//! What speaks for words being values, and how much.
//!
//! In: words of one kind (a [`Cluster`]) and what stands beside them. Out: a [`Judgement`]: every piece of evidence with
//! the figure seen and the log-odds it adds; positive is a value. Nothing is decided by one piece alone.
//!
//! The weights are those of a logistic regression over the paths of some two hundred published descriptions, none of them
//! used to measure accuracy, played as full and as sparse traffic, half of it with names made of the very words that paths
//! are made of. Every figure is bounded and settles as traffic grows.

use crate::bounded::Seen;
use crate::cluster::Cluster;
use crate::likeness::Profile;
use crate::tree::Method;
use crate::verdict::{Before, Siblings};
use crate::{codes, lexicon, looks};

/// One piece of evidence about the words of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    /// What was looked at, as a phrase: "share of nouns in the plural".
    pub name: &'static str,
    /// The figure that was found: a count, a share from 0 to 1, a likeness from -1 to 1, or 1 for a plain yes.
    pub seen: f32,
    /// Log-odds it adds: positive speaks for a value, negative for a constant.
    pub odds: f32,
}

/// The evidence about some words together; what was not seen is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Judgement {
    pub pieces: Vec<Piece>,
}

impl Judgement {
    /// Adds what was seen at `weight` log-odds for a figure of 1.
    fn add(&mut self, name: &'static str, seen: f64, weight: f64) {
        if seen != 0.0 {
            self.pieces.push(Piece {
                name,
                seen: seen as f32,
                odds: (seen * weight) as f32,
            });
        }
    }

    fn add_if(&mut self, name: &'static str, seen: bool, weight: f64) {
        self.add(name, if seen { 1.0 } else { 0.0 }, weight);
    }

    /// The sum: above 0 the words are values. Natural logarithm of the odds.
    pub(crate) fn odds(&self) -> f32 {
        self.pieces.iter().map(|p| p.odds).sum()
    }
}

/// Sums over words, so that what stands beside a cluster is all of them less its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    words: f64,
    calls: f64,
    identities: f64,
    plurals: f64,
    /// Words with words below them that recur below others.
    structured: f64,
}

impl Totals {
    /// Over words with their profiles.
    pub(crate) fn of<'a>(
        words: impl Iterator<Item = (&'a str, &'a Profile)>,
        identities: &Seen,
    ) -> Totals {
        let one = |yes: bool| if yes { 1.0 } else { 0.0 };
        words.fold(Totals::default(), |sum, (word, profile)| Totals {
            words: sum.words + 1.0,
            calls: sum.calls + profile.calls.max(1) as f64,
            identities: sum.identities + one(identities.contains(word) == Some(true)),
            plurals: sum.plurals + one(looks::is_plural(word)),
            structured: sum.structured + one(profile.recurs),
        })
    }

    fn less(self, other: Totals) -> Totals {
        Totals {
            words: self.words - other.words,
            calls: self.calls - other.calls,
            identities: self.identities - other.identities,
            plurals: self.plurals - other.plurals,
            structured: self.structured - other.structured,
        }
    }
}

/// More words than this are no more evidence.
const MANY: f64 = 12.0;

/// The evidence that the words of a cluster are values. `own` sums over the words, `all` over
/// every word at the node.
pub(crate) fn judge(
    cluster: &Cluster<'_>,
    siblings: &Siblings<'_>,
    own: Totals,
    all: Totals,
) -> Judgement {
    let words = &cluster.words;
    let n = words.len() as f64;
    let share = |look: fn(&str) -> bool| words.iter().filter(|w| look(w)).count() as f64 / n;
    let mean = |figure: fn(&str) -> f64| words.iter().map(|w| figure(w)).sum::<f64>() / n;
    let mut j = Judgement::default();
    j.add("any word of a path", 1.0, BIAS);

    // How many, how alike, and whether new ones keep coming. The share of calls that brought a word seen once estimates
    // the chance that the next call brings a new one (Good and Turing); constants have all been seen early.
    j.add(
        "words of this kind, natural logarithm",
        n.min(MANY).ln(),
        MANY_WORDS,
    );
    if n >= 2.0 {
        let likeness = (cluster.likeness / (n - 1.0)).clamp(0.0, 1.0);
        j.add("likeness of what is below them", likeness, LIKENESS);
        j.add_if(
            "a common beginning or end",
            looks::have_common_end(words),
            COMMON_END,
        );
    }
    if n >= 3.0 {
        let once = cluster.calls.iter().filter(|c| **c <= 1).count() as f64;
        j.add(
            "share of calls that brought a word seen once",
            once / own.calls,
            FRESH,
        );
    }
    j.add("words per call", n / own.calls, SPARSE);

    // The words themselves. Two languages before the same paths are never constants in published descriptions.
    if n >= 2.0 && siblings.before == Before::Front {
        let locales = words.iter().all(|w| codes::is_locale(w));
        j.add_if("names of languages", locales, LOCALE);
    }
    j.add(
        "how common their parts are in published paths",
        mean(lexicon::level),
        LEXICON,
    );
    j.add(
        "share that a machine seems to have made",
        share(looks::is_made),
        MADE,
    );
    j.add(
        "share that looks like a name in code",
        share(looks::is_code_name),
        CODE_NAME,
    );
    j.add("share in capitals", share(looks::is_code), CAPITALS);
    j.add("share with a hyphen", share(|w| w.contains('-')), HYPHEN);
    j.add("share with a dot", share(|w| w.contains('.')), DOT);
    j.add("share of nouns in the plural", own.plurals / n, PLURAL);

    // The very word was the id, name or slug of something in a body.
    let told: Vec<bool> = words
        .iter()
        .filter_map(|w| siblings.identities.contains(w))
        .collect();
    if !told.is_empty() {
        let hits = told.iter().filter(|t| **t).count() as f64 / told.len() as f64;
        j.add(
            "share that was an id, name or slug in a body",
            hits,
            IDENTITY,
        );
    }

    // What is answered at and below them. One of many is changed and deleted; an action is only posted to; a number right
    // below a word is an item of the collection that the word names.
    let methods: Vec<Method> = cluster.profile.methods().collect();
    let changes = |m: &Method| matches!(m, Method::Put | Method::Delete | Method::Patch);
    j.add_if("changed or deleted", methods.iter().any(changes), CHANGED);
    j.add_if("only posted to", methods == [Method::Post], POSTED);
    j.add_if("nothing answered right there", methods.is_empty(), BARE);
    j.add(
        "share with sure values right below",
        cluster.before_values as f64 / n,
        ABOVE_VALUES,
    );
    j.add_if(
        "words below recur below others",
        own.structured > 0.0,
        STRUCTURED,
    );

    // Sure values beside them.
    if let Some(values) = &siblings.values {
        j.add_if(
            "unlike the sure values beside them",
            cluster.likeness_to(values) < -0.2,
            UNLIKE_VALUES,
        );
        let within = cluster.members.iter().filter(|m| m.within(values)).count() as f64;
        j.add(
            "share that does only what values beside them do",
            within / n,
            WITHIN_VALUES,
        );
        j.add_if(
            "words beside numbers or hashes",
            siblings.plain_values() && !(siblings.mixed_values() && looks_mixed(words)),
            AMONG_NUMBERS,
        );
    }

    // The other words beside them.
    let others = all.less(own);
    if others.words < 0.5 {
        j.add("no other word beside them", 1.0, ALONE);
    } else {
        j.add(
            "share of the others that was an id, name or slug",
            others.identities / others.words,
            OTHERS_IDENTITY,
        );
        j.add(
            "share of the others in the plural",
            others.plurals / others.words,
            OTHERS_PLURAL,
        );
        j.add_if(
            "words below others recur",
            others.structured > 0.5,
            OTHERS_STRUCTURED,
        );
    }

    // The front of a path names collections; a value stands after a noun, best in the plural.
    match siblings.before {
        Before::Front => j.add("at the front of the path", 1.0, AT_FRONT),
        Before::Plural => j.add("after a noun in the plural", 1.0, AFTER_PLURAL),
        Before::Value => j.add("after a value", 1.0, AFTER_VALUE),
        Before::Word => {}
    }
    j
}

fn looks_mixed(words: &[&str]) -> bool {
    let mixed = |w: &&&str| looks::is_made(w) || w.contains(['.', '@', '~']);
    words.iter().filter(mixed).count() * 2 > words.len()
}

// Log-odds for a figure of 1.
const BIAS: f64 = -5.2;
const MANY_WORDS: f64 = 1.3;
const LIKENESS: f64 = 1.5;
const FRESH: f64 = 2.5;
const SPARSE: f64 = 4.7;
const MADE: f64 = 2.5;
const CODE_NAME: f64 = -1.6;
const COMMON_END: f64 = -0.9;
const IDENTITY: f64 = 4.1;
const CHANGED: f64 = 1.1;
const POSTED: f64 = -1.5;
const BARE: f64 = 0.5;
const UNLIKE_VALUES: f64 = -1.2;
const WITHIN_VALUES: f64 = 1.3;
const AMONG_NUMBERS: f64 = -1.1;
const ABOVE_VALUES: f64 = -0.7;
const PLURAL: f64 = -1.8;
const AT_FRONT: f64 = -1.5;
const AFTER_PLURAL: f64 = 0.6;
const AFTER_VALUE: f64 = -0.3;
const LEXICON: f64 = -0.7;
const LOCALE: f64 = 6.0;
const HYPHEN: f64 = 2.3;
const DOT: f64 = 1.1;
const CAPITALS: f64 = 2.2;
const STRUCTURED: f64 = 0.9;
const ALONE: f64 = 0.7;
const OTHERS_IDENTITY: f64 = 1.7;
const OTHERS_PLURAL: f64 = -1.2;
const OTHERS_STRUCTURED: f64 = 1.2;
