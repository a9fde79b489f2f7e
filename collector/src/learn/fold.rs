//! Folds recordings into one model per host, on all processors.
//!
//! In: recordings. Out: models and counts. One thread finds entries, the others parse and learn them, each into models
//! of its own, which are merged at the end; the law that order and partition do not matter makes the result the same
//! for any number of threads. Queues are bounded; nothing is kept of an entry once it is learnt.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar};
use silhouette_reconstruct::{HostName, Limits, Model};

use super::source::Source;
use super::{HostFilter, LearnError};
use crate::har::{Exchange, HarError, Item, Reader};

/// Entries travel to the learning threads in batches of about this many bytes.
const BATCH: usize = 256 << 10;
/// More hosts than any recording of APIs has; more are counted and left out.
const MAX_HOSTS: usize = 10_000;
/// As many broken entries are told one by one.
const MAX_TOLD: usize = 10;

/// What a set of recordings came to.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub(super) hosts: BTreeMap<HostName, HostModel>,
    /// Entries in all recordings.
    pub(super) entries: u64,
    /// Entries that reached no model, by reason.
    pub(super) left_out: BTreeMap<&'static str, u64>,
    /// What went wrong and did not stop the learning, ready to print.
    pub(super) warnings: Vec<String>,
}

/// A host's model, and what it does not count itself.
#[derive(Debug)]
pub(super) struct HostModel {
    pub(super) model: Model,
    pub(super) exchanges: u64,
    /// Bodies that were there and could not be read.
    pub(super) unread_bodies: u64,
}

/// Entries on their way to a learning thread.
#[derive(Default)]
struct Batch {
    source: usize,
    text: Vec<u8>,
    entries: Vec<Place>,
}

struct Place {
    json: Range<usize>,
    index: u64,
    offset: u64,
    line: u64,
}

/// Reads all sources to their end. Without `keep_going` the first thing that is wrong is the error.
pub(super) fn fold(
    sources: &[Source],
    hosts: &HostFilter,
    threads: usize,
    keep_going: bool,
    bar: ProgressBar,
) -> Result<Fold, LearnError> {
    let (sender, receiver) = sync_channel::<Batch>(threads);
    // Shared by the learners alone: when none is left, sending fails and reading ends.
    let receiver = Arc::new(Mutex::new(receiver));
    let stop = AtomicBool::new(false);
    let (mut read, learners) = thread::scope(|scope| {
        let mut handles = Vec::new();
        for number in 0..threads {
            let (receiver, stop) = (Arc::clone(&receiver), &stop);
            let work = move || Learner::new(sources, hosts, keep_going, stop).run(&receiver);
            let handle = thread::Builder::new()
                .name(format!("learn-{number}"))
                .spawn_scoped(scope, work);
            handles.push(handle.map_err(|error| LearnError::Thread(error.to_string())));
        }
        drop(receiver);
        let read = if handles.iter().any(Result::is_err) {
            drop(sender);
            Read::default()
        } else {
            read(sources, sender, keep_going, &stop, &bar)
        };
        let learners = handles.into_iter().map(|handle| {
            let died =
                |_| LearnError::Thread("it panicked; please report the recording".to_owned());
            handle.and_then(|handle| handle.join().map_err(died))
        });
        (read, learners.collect::<Result<Vec<_>, _>>())
    });
    bar.finish_and_clear();
    let mut fold = Fold {
        entries: read.entries,
        left_out: read.left_out,
        ..Fold::default()
    };
    let mut broken = Vec::new();
    let mut broken_count = 0;
    for learner in learners? {
        broken_count += learner.broken_count;
        broken.extend(learner.broken);
        for (reason, count) in learner.left_out {
            *fold.left_out.entry(reason).or_default() += count;
        }
        for (host, other) in learner.models {
            match fold.hosts.get_mut(&host) {
                Some(known) => {
                    known.model.merge(other.model);
                    known.exchanges += other.exchanges;
                    known.unread_bodies += other.unread_bodies;
                }
                None => {
                    fold.hosts.insert(host, other);
                }
            }
        }
    }
    broken.sort_by_key(|(source, index, _)| (*source, *index));
    if !keep_going {
        // An entry comes before whatever ended the reading after it.
        let entry = broken
            .into_iter()
            .next()
            .map(|(source, _, error)| (source, error));
        if let Some((source, error)) = entry.or(read.failed.pop()) {
            return Err(har(sources, source, error, keep_going));
        }
        return Ok(fold);
    }
    broken.truncate(MAX_TOLD);
    let told = broken.len() as u64;
    for (source, _, error) in broken {
        fold.warnings.push(format!(
            "{} (left out)",
            har(sources, source, error, keep_going)
        ));
    }
    if broken_count > told {
        fold.warnings.push(format!(
            "{} more broken entries left out",
            broken_count - told
        ));
    }
    for (source, error) in read.failed {
        fold.warnings.push(format!(
            "{} (what came before is learnt)",
            har(sources, source, error, keep_going)
        ));
    }
    Ok(fold)
}

fn har(sources: &[Source], source: usize, error: HarError, keep_going: bool) -> LearnError {
    let hint = match error {
        HarError::Truncated { entries: 1.., .. }
        | HarError::Broken { entries: 1.., .. }
        | HarError::Read { entries: 1.., .. }
            if !keep_going =>
        {
            "\nNothing is written. --keep-going learns from the entries before it."
        }
        HarError::Entry { .. } if !keep_going => {
            "\nNothing is written. --keep-going leaves such entries out."
        }
        _ => "",
    };
    let file = sources
        .get(source)
        .map_or_else(String::new, |source| source.name.clone());
    LearnError::Har {
        file,
        source: error,
        hint,
    }
}

/// What the reading thread found.
#[derive(Default)]
struct Read {
    entries: u64,
    left_out: BTreeMap<&'static str, u64>,
    /// Sources that ended in an error.
    failed: Vec<(usize, HarError)>,
}

fn read(
    sources: &[Source],
    sender: SyncSender<Batch>,
    keep_going: bool,
    stop: &AtomicBool,
    bar: &ProgressBar,
) -> Read {
    let mut found = Read::default();
    for (number, source) in sources.iter().enumerate() {
        bar.set_message(source.name.clone());
        let entries = match source.open(bar) {
            Ok(reader) => {
                let mut reader = Reader::new(reader);
                let before = found.entries;
                let advanced = |entries| {
                    let rate = per_second(before + entries, bar.elapsed());
                    bar.set_prefix(format!("{rate} entries/s"));
                };
                let left_out = &mut found.left_out;
                let result = read_one(&mut reader, number, &sender, stop, left_out, advanced);
                found.entries += reader.entries();
                result
            }
            Err(source) => Err(HarError::Read {
                entries: 0,
                offset: 0,
                source,
            }),
        };
        if let Err(error) = entries {
            found.failed.push((number, error));
            if !keep_going {
                break;
            }
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    found
}

fn read_one(
    reader: &mut Reader<impl std::io::Read>,
    source: usize,
    sender: &SyncSender<Batch>,
    stop: &AtomicBool,
    left_out: &mut BTreeMap<&'static str, u64>,
    advanced: impl Fn(u64),
) -> Result<(), HarError> {
    let mut batch = Batch {
        source,
        ..Batch::default()
    };
    let result = loop {
        match reader.next_entry() {
            Ok(Some(Item::Entry(entry))) => {
                let start = batch.text.len();
                batch.text.extend_from_slice(entry.json);
                let json = start..batch.text.len();
                batch.entries.push(Place {
                    json,
                    index: entry.index,
                    offset: entry.offset,
                    line: entry.line,
                });
            }
            Ok(Some(Item::TooLarge { .. })) => *left_out.entry("too_large").or_default() += 1,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if batch.text.len() >= BATCH {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let full = std::mem::replace(
                &mut batch,
                Batch {
                    source,
                    ..Batch::default()
                },
            );
            // Nobody receives only when every learner died, and joining them tells.
            if sender.send(full).is_err() {
                return Ok(());
            }
            advanced(reader.entries());
        }
    };
    if !batch.entries.is_empty() {
        let _ = sender.send(batch);
    }
    result
}

/// Queues are short, so what was handed to the learners is about what they learnt.
fn per_second(entries: u64, elapsed: Duration) -> HumanCount {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    HumanCount(entries.saturating_mul(1000) / millis.max(1))
}

/// One learning thread.
struct Learner<'a> {
    sources: &'a [Source],
    hosts: &'a HostFilter,
    keep_going: bool,
    stop: &'a AtomicBool,
    /// Where a scheme and authority leads, so that a host is normalised once and not per exchange.
    authorities: [HashMap<String, Result<usize, &'static str>>; 2],
    models: Vec<(HostName, HostModel)>,
    left_out: BTreeMap<&'static str, u64>,
    broken: Vec<(usize, u64, HarError)>,
    broken_count: u64,
}

impl<'a> Learner<'a> {
    fn new(
        sources: &'a [Source],
        hosts: &'a HostFilter,
        keep_going: bool,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            sources,
            hosts,
            keep_going,
            stop,
            authorities: Default::default(),
            models: Vec::new(),
            left_out: BTreeMap::new(),
            broken: Vec::new(),
            broken_count: 0,
        }
    }

    fn run(mut self, batches: &Mutex<Receiver<Batch>>) -> Self {
        loop {
            let batch = batches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(batch) = batch else { return self };
            self.batch(&batch);
        }
    }

    fn batch(&mut self, batch: &Batch) {
        let written = self
            .sources
            .get(batch.source)
            .map_or(0, |source| source.written);
        for place in &batch.entries {
            let json = batch.text.get(place.json.clone()).unwrap_or_default();
            if let Err(error) = Exchange::parse(json, |exchange| self.exchange(exchange, written)) {
                self.broken_count += 1;
                if self.broken.len() < MAX_TOLD {
                    let Place {
                        index,
                        offset,
                        line,
                        ..
                    } = *place;
                    let reason = in_words(&error, line);
                    self.broken.push((
                        batch.source,
                        index,
                        HarError::Entry {
                            index,
                            offset,
                            line,
                            reason,
                        },
                    ));
                }
                if !self.keep_going {
                    // Batches before this one are all taken already, so the first broken entry is found by somebody.
                    self.stop.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    fn exchange(&mut self, exchange: Result<Exchange<'_>, crate::har::LeftOut>, written: u64) {
        let exchange = match exchange {
            Ok(exchange) => exchange,
            Err(reason) => return self.leave_out(reason.as_str()),
        };
        let host = match self.host(exchange.scheme, &exchange.authority) {
            Ok(host) => host,
            Err(reason) => return self.leave_out(reason),
        };
        if let Some((_, host)) = self.models.get_mut(host) {
            host.exchanges += 1;
            host.unread_bodies += u64::from(exchange.unread_bodies);
            exchange.observe(written, |observation| host.model.observe(observation));
        }
    }

    fn leave_out(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn host(&mut self, scheme: &'static str, authority: &str) -> Result<usize, &'static str> {
        let [plain, secure] = &mut self.authorities;
        let authorities = if scheme == "https" { secure } else { plain };
        if let Some(known) = authorities.get(authority) {
            return *known;
        }
        let found = match HostName::parse(authority.as_bytes(), scheme) {
            Err(_) => Err("bad_host"),
            Ok(host) if !self.hosts.wants(&host) => Err("other_host"),
            Ok(host) => match self.models.iter().position(|(name, _)| *name == host) {
                Some(known) => Ok(known),
                None if self.models.len() >= MAX_HOSTS => Err("too_many_hosts"),
                None => {
                    let model = Model::new(Limits::default());
                    self.models.push((
                        host,
                        HostModel {
                            model,
                            exchanges: 0,
                            unread_bodies: 0,
                        },
                    ));
                    Ok(self.models.len() - 1)
                }
            },
        };
        if authorities.len() < 2 * MAX_HOSTS {
            authorities.insert(authority.to_owned(), found);
        }
        found
    }
}

/// serde_json counts lines from the entry's begin; a reader wants the file's.
fn in_words(error: &serde_json::Error, line: u64) -> String {
    let text = error.to_string();
    let reason = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason);
    let at = line + (error.line() as u64).saturating_sub(1);
    format!("{reason}, at line {at} column {}", error.column())
}
