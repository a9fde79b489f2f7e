//! Words below one node, gathered by what is answered at and below them.
//!
//! In: a profile per word. Out: clusters of words that seem to be the same kind of thing. Which kind is not asked here.

use crate::likeness::Profile;

/// Words of one kind.
pub(crate) struct Cluster<'a> {
    /// In the order of their calls.
    pub words: Vec<&'a str>,
    pub calls: Vec<u64>,
    /// How many of the words have sure values below.
    pub before_values: usize,
    /// Of all words together.
    pub profile: Profile,
    pub members: Vec<&'a Profile>,
    /// Sum of the likeness at which each word joined.
    pub likeness: f64,
}

/// Words of different clusters are different things above this.
const ALIKE: f64 = 0.15;

/// Members of a cluster that a word is compared with.
const MOST_COMPARED: usize = 16;

/// Greedy: the most called words first, each to the cluster it is most like; then clusters that turn out alike are joined.
pub(crate) fn clusters<'a>(words: &[(&'a str, &'a Profile)]) -> Vec<Cluster<'a>> {
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(words[*i].1.calls), words[*i].0));
    let mut out: Vec<Cluster<'a>> = Vec::new();
    for (word, profile) in order.iter().map(|i| words[*i]) {
        let best = out
            .iter()
            .enumerate()
            .map(|(i, c)| (i, c.likeness_to(profile)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((i, likeness)) if likeness >= ALIKE => {
                out[i].join(Cluster::new(word, profile, likeness))
            }
            _ => out.push(Cluster::new(word, profile, 0.0)),
        }
    }
    let mut i = 0;
    while i < out.len() {
        let found = (i + 1..out.len()).find(|j| out[i].likeness_between(&out[*j]) >= ALIKE);
        match found {
            Some(j) => {
                let mut other = out.remove(j);
                other.likeness += out[i].likeness_between(&other);
                out[i].join(other);
            }
            None => i += 1,
        }
    }
    out
}

/// The mean of the likenesses that tell something; 0 when none does.
fn mean(likenesses: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = likenesses
        .filter(|likeness| *likeness != 0.0)
        .fold((0.0, 0.0), |(sum, count), likeness| {
            (sum + likeness, count + 1.0)
        });
    if count == 0.0 { 0.0 } else { sum / count }
}

impl<'a> Cluster<'a> {
    fn new(word: &'a str, profile: &'a Profile, likeness: f64) -> Cluster<'a> {
        Cluster {
            words: vec![word],
            calls: vec![profile.calls],
            before_values: usize::from(profile.before_values),
            profile: profile.clone(),
            members: vec![profile],
            likeness,
        }
    }

    /// The mean over those of its members that can be compared: a union of all would be like everything.
    pub(crate) fn likeness_to(&self, other: &Profile) -> f64 {
        let members = self.members.iter().take(MOST_COMPARED);
        mean(members.map(|m| m.likeness(other)))
    }

    pub(crate) fn likeness_between(&self, other: &Cluster<'_>) -> f64 {
        let members = other.members.iter().take(MOST_COMPARED);
        mean(members.map(|m| self.likeness_to(m)))
    }

    fn join(&mut self, other: Cluster<'a>) {
        self.words.extend(other.words);
        self.calls.extend(other.calls);
        self.before_values += other.before_values;
        self.members.extend(other.members);
        self.profile.absorb(&other.profile);
        self.likeness += other.likeness;
    }
}
