//! The hosts that are learnt, each with its model.
//!
//! In: observations by host, saved models. Out: documents, summaries, models as bytes. Bounded in hosts and in memory:
//! when the table is full, hosts that never answered with success give way (scanners invent host names), and when the
//! models together are at their ceiling, hosts above their fair share stop growing while the others learn on. Operations that are
//! seldom called rest in a smaller form.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use silhouette_reconstruct::{
    Document, DocumentOptions, Explanation, HostName, Limits, Model, Observation, Outcome, Rules,
    Summary,
};

use tokio::sync::Notify;

use crate::callers::{self, CallerKind, Callers};
use crate::envelope::Rejected;
use crate::store::HostBytes;

/// A host's model is measured once per so many exchanges: measuring walks it.
const MEASURE_EVERY: u64 = 256;

/// When more operations are ready, those rest that were not called of late: with bodies of 1 KiB these take some 60 MiB. Where more are
/// called all the time, waking them costs up to a few times what learning a call does.
const MOST_READY: usize = 8192;

/// Bounds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Hosts.
    pub hosts: usize,
    /// Bytes of one model.
    pub host_memory: usize,
    /// Bytes of all models.
    pub model_memory: usize,
}

/// One host.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    shard: usize,
    model: Mutex<Model>,
    /// Exchanges observed; the version of what is derived from the model.
    observed: AtomicU64,
    succeeded: AtomicU64,
    memory: AtomicUsize,
    ready: AtomicUsize,
    last_unix_millis: AtomicU64,
    summary: Mutex<Option<Counted>>,
    callers: Mutex<Callers>,
}

/// A summary, of which version, when, and how long it took.
#[derive(Debug)]
struct Counted {
    version: u64,
    at: Instant,
    took: Duration,
    /// Rules can change without traffic.
    rules: Arc<Rules>,
    summary: Summary,
}

/// All hosts.
#[derive(Debug)]
pub struct Hosts {
    bounds: Bounds,
    map: RwLock<HashMap<HostName, Arc<Host>>>,
    memory: AtomicUsize,
    /// Operations of all hosts that do not rest.
    ready: AtomicUsize,
    crowded: Notify,
}

impl Host {
    /// Observes one exchange.
    pub fn observe(
        &self,
        hosts: &Hosts,
        observation: &Observation<'_>,
    ) -> Result<Outcome, Rejected> {
        if hosts.memory.load(Relaxed) > hosts.bounds.model_memory
            && self.memory.load(Relaxed) > hosts.fair_share()
        {
            return Err(Rejected::ModelMemory);
        }
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = model.observe(observation);
        let observed = self.observed.fetch_add(1, Relaxed);
        if outcome == Outcome::Learnt && observation.status < 400 {
            self.succeeded.fetch_add(1, Relaxed);
        }
        self.last_unix_millis
            .fetch_max(observation.unix_millis, Relaxed);
        if observed.is_multiple_of(MEASURE_EVERY) {
            self.measured(hosts, model.memory_bytes());
        }
        if model.ready() != self.ready.load(Relaxed) {
            self.counted(hosts, model.ready());
            if hosts.ready.load(Relaxed) > MOST_READY {
                hosts.crowded.notify_one();
            }
        }
        Ok(outcome)
    }

    /// Counts who made a call that was learnt; `consumer` is empty when the gateway knew none.
    pub fn count_caller(&self, observation: &Observation<'_>, consumer: &str) {
        let agent = observation.request.headers.iter();
        let agent = agent
            .filter(|(name, _)| *name == "user-agent")
            .map(|(_, value)| *value)
            .next();
        let at = observation.unix_millis;
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.count(CallerKind::Shim, observation.shim, at);
        callers.count(CallerKind::Consumer, consumer, at);
        callers.count(CallerKind::Client, callers::client(agent), at);
    }

    /// Who calls it.
    pub fn callers(&self) -> Callers {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.clone()
    }

    fn counted(&self, hosts: &Hosts, ready: usize) {
        let before = self.ready.swap(ready, Relaxed);
        hosts.ready.fetch_add(ready, Relaxed);
        hosts.ready.fetch_sub(before, Relaxed);
    }

    fn measured(&self, hosts: &Hosts, bytes: usize) {
        let before = self.memory.swap(bytes, Relaxed);
        hosts.memory.fetch_add(bytes, Relaxed);
        hosts.memory.fetch_sub(before, Relaxed);
    }

    /// Counts what the model was told: another number, maybe another document.
    pub fn version(&self) -> u64 {
        self.observed.load(Relaxed)
    }

    /// What is known of it as bytes, for a checkpoint.
    pub fn to_bytes(&self, hosts: &Hosts) -> HostBytes {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        self.measured(hosts, model.memory_bytes());
        HostBytes {
            model: model.to_bytes(),
            callers: self.callers().to_bytes(),
        }
    }

    /// The document as of now.
    pub fn document(&self, options: &DocumentOptions) -> Document {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        model.document(&self.name, options)
    }

    /// Why the path of a call became the template it is.
    pub fn explain(&self, method: &str, path: &str, options: &DocumentOptions) -> Explanation {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        model.explain(method, path, options)
    }

    /// Counts as of now. Kept until the host is observed again: counting operations costs as much as a document.
    pub fn summary(&self, options: &DocumentOptions) -> Summary {
        self.recent_summary(options, Duration::ZERO)
    }

    /// Counts that may be as old as `age`, or as twenty times what counting takes.
    pub fn recent_summary(&self, options: &DocumentOptions, age: Duration) -> Summary {
        let version = self.observed.load(Relaxed);
        let mut kept = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept {
            let patience = if age.is_zero() {
                age
            } else {
                age.max(kept.took * 20)
            };
            let current = kept.version == version || kept.at.elapsed() < patience;
            if current && kept.rules == options.rules {
                return kept.summary.clone();
            }
        }
        let at = Instant::now();
        let summary = self
            .model
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .summary(options);
        let counted = Counted {
            version,
            rules: options.rules.clone(),
            at,
            took: at.elapsed(),
            summary,
        };
        kept.insert(counted).summary.clone()
    }

    /// Bytes of its model when it was last measured.
    pub fn memory(&self) -> usize {
        self.memory.load(Relaxed)
    }
}

impl Hosts {
    /// None yet.
    pub fn new(bounds: Bounds) -> Hosts {
        Hosts {
            bounds,
            map: RwLock::default(),
            memory: AtomicUsize::new(0),
            ready: AtomicUsize::new(0),
            crowded: Notify::new(),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.bounds.host_memory,
        }
    }

    fn fair_share(&self) -> usize {
        self.bounds.model_memory / self.len().max(1)
    }

    /// A host that was saved; one over the bound is kept too, it was learnt under another setting.
    pub fn restore(&self, name: HostName, shard: usize, model: Model, callers: Callers) {
        let succeeded = u64::from(model.summary(&DocumentOptions::default()).operations > 0);
        let host = Arc::new(Host {
            shard,
            model: Mutex::new(model),
            observed: AtomicU64::new(0),
            succeeded: AtomicU64::new(succeeded),
            memory: AtomicUsize::new(0),
            ready: AtomicUsize::new(0),
            last_unix_millis: AtomicU64::new(0),
            summary: Mutex::new(None),
            callers: Mutex::new(callers),
            name: name.clone(),
        });
        let bytes = host
            .model
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .memory_bytes();
        host.measured(self, bytes);
        self.write().insert(name, host);
    }

    /// The host of this name.
    pub fn get(&self, name: &HostName) -> Option<Arc<Host>> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// The host of this name, new if need be. `shard` is who learns it. Hosts that had to give way are added to `gone`.
    pub fn get_or_create(
        &self,
        name: &HostName,
        shard: usize,
        gone: &mut Vec<HostName>,
    ) -> Result<Arc<Host>, Rejected> {
        if let Some(host) = self.get(name) {
            return Ok(host);
        }
        if self.memory.load(Relaxed) > self.bounds.model_memory {
            return Err(Rejected::ModelMemory);
        }
        let mut map = self.write();
        if map.len() >= self.bounds.hosts {
            // Only hosts of the same learner: another one may be about to save its own.
            let mut idle: Vec<_> = map
                .values()
                .filter(|host| host.shard == shard && host.succeeded.load(Relaxed) == 0)
                .map(|host| (host.last_unix_millis.load(Relaxed), host.name.clone()))
                .collect();
            if idle.is_empty() {
                return Err(Rejected::TooManyHosts);
            }
            idle.sort_unstable();
            idle.truncate((self.bounds.hosts / 16).max(1));
            for (_, name) in idle {
                if let Some(host) = map.remove(&name) {
                    host.measured(self, 0);
                    host.counted(self, 0);
                }
                gone.push(name);
            }
        }
        let host = Arc::new(Host {
            shard,
            model: Mutex::new(Model::new(self.limits())),
            observed: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            memory: AtomicUsize::new(0),
            ready: AtomicUsize::new(0),
            last_unix_millis: AtomicU64::new(0),
            summary: Mutex::new(None),
            callers: Mutex::default(),
            name: name.clone(),
        });
        map.insert(name.clone(), host.clone());
        Ok(host)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<HostName, Arc<Host>>> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Arc<Host>> {
        let mut hosts: Vec<_> = self
            .map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        hosts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        hosts
    }

    /// Drops what was last called before that time from every model; how many operations went.
    pub fn forget(&self, before_unix_millis: u64) -> u64 {
        let mut gone = 0;
        for host in self.list() {
            let mut model = host.model.lock().unwrap_or_else(PoisonError::into_inner);
            let dropped = model.forget(before_unix_millis);
            let callers = host.callers.lock();
            callers
                .unwrap_or_else(PoisonError::into_inner)
                .forget(before_unix_millis);
            if dropped > 0 {
                host.measured(self, model.memory_bytes());
                host.observed.fetch_add(1, Relaxed);
            }
            gone += dropped;
        }
        gone
    }

    /// Lets the operations rest that were not called since this was last called, see [`Model::rest`].
    pub fn rest(&self) {
        for host in self.list() {
            let mut model = host.model.lock().unwrap_or_else(PoisonError::into_inner);
            if model.ready() > 0 {
                model.rest();
                host.counted(self, model.ready());
                host.measured(self, model.memory_bytes());
            }
        }
    }

    /// Waits until more operations are ready than should be, and somebody should let them rest.
    pub async fn crowded(&self) {
        self.crowded.notified().await;
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all models.
    pub fn memory(&self) -> usize {
        self.memory.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use silhouette_reconstruct::Message;

    fn name(text: &str) -> HostName {
        HostName::parse(text.as_bytes(), "http").unwrap()
    }

    fn observation(status: u16, unix_millis: u64) -> Observation<'static> {
        Observation {
            unix_millis,
            duration_micros: None,
            shim: "nginx",
            scheme: "http",
            method: "GET",
            path: "/books",
            query: None,
            request: Message::default(),
            status,
            response: Message::default(),
            client_certificate: false,
        }
    }

    #[test]
    fn invented_hosts_give_way_to_real_ones() {
        let hosts = Hosts::new(Bounds {
            hosts: 3,
            host_memory: 1 << 20,
            model_memory: 1 << 30,
        });
        let mut gone = Vec::new();
        for (n, (text, status)) in [
            ("real.example", 200),
            ("a.example", 404),
            ("b.example", 404),
        ]
        .into_iter()
        .enumerate()
        {
            let host = hosts.get_or_create(&name(text), 0, &mut gone).unwrap();
            host.observe(&hosts, &observation(status, 1000 + n as u64))
                .unwrap();
        }
        assert_eq!(hosts.len(), 3);
        assert_eq!(
            hosts
                .get_or_create(&name("c.example"), 1, &mut gone)
                .unwrap_err(),
            Rejected::TooManyHosts,
            "another learner's hosts stay"
        );
        let host = hosts
            .get_or_create(&name("c.example"), 0, &mut gone)
            .unwrap();
        assert_eq!(gone, [name("a.example")]);
        host.observe(&hosts, &observation(200, 9)).unwrap();
        let host = hosts
            .get_or_create(&name("d.example"), 0, &mut gone)
            .unwrap();
        host.observe(&hosts, &observation(200, 9)).unwrap();
        assert_eq!(gone.len(), 2);
        assert!(
            hosts
                .get_or_create(&name("e.example"), 0, &mut gone)
                .is_err(),
            "only real hosts left"
        );
    }

    #[test]
    fn over_the_ceiling_small_hosts_learn_on() {
        let hosts = Hosts::new(Bounds {
            hosts: 10,
            host_memory: 1 << 20,
            model_memory: 100_000,
        });
        let mut gone = Vec::new();
        let large = hosts.get_or_create(&name("large"), 0, &mut gone).unwrap();
        let small = hosts.get_or_create(&name("small"), 0, &mut gone).unwrap();
        large.measured(&hosts, 99_000);
        small.measured(&hosts, 2_000);
        assert_eq!(hosts.memory(), 101_000);
        let observation = observation(200, 1);
        assert_eq!(
            large.observe(&hosts, &observation),
            Err(Rejected::ModelMemory)
        );
        assert!(hosts.get_or_create(&name("new"), 0, &mut gone).is_err());
        assert!(small.observe(&hosts, &observation).is_ok());
    }

    #[test]
    fn what_was_last_called_long_ago_frees_its_memory() {
        let hosts = Hosts::new(Bounds {
            hosts: 1,
            host_memory: 1 << 20,
            model_memory: 1 << 30,
        });
        let host = hosts.get_or_create(&name("h"), 0, &mut Vec::new()).unwrap();
        host.observe(&hosts, &observation(200, 1_000)).unwrap();
        let options = DocumentOptions::default();
        assert_eq!(host.summary(&options).operations, 1);
        assert_eq!((hosts.forget(1_000), hosts.forget(1_001)), (0, 1));
        assert_eq!(host.summary(&options).operations, 0);
        assert_eq!(host.summary(&options).exchanges, 1);
    }

    #[test]
    fn a_summary_is_counted_again_only_after_traffic() {
        let hosts = Hosts::new(Bounds {
            hosts: 1,
            host_memory: 1 << 20,
            model_memory: 1 << 30,
        });
        let host = hosts.get_or_create(&name("h"), 0, &mut Vec::new()).unwrap();
        let options = DocumentOptions::default();
        for n in 1..=3 {
            host.observe(&hosts, &observation(200, n)).unwrap();
            assert_eq!(host.summary(&options).exchanges, n);
            assert_eq!(host.summary(&options), host.summary(&options));
        }
    }

    #[test]
    fn what_nobody_calls_rests() {
        let hosts = Hosts::new(Bounds {
            hosts: 3,
            host_memory: 1 << 20,
            model_memory: 1 << 30,
        });
        let mut gone = Vec::new();
        let [busy, idle] = ["busy", "idle"].map(|h| {
            let host = hosts.get_or_create(&name(h), 0, &mut gone).unwrap();
            host.observe(&hosts, &observation(200, 1)).unwrap();
            host
        });
        let ready = |host: &Host| host.ready.load(Relaxed);
        let all = || hosts.ready.load(Relaxed);
        hosts.rest();
        assert_eq!((ready(&busy), ready(&idle), all()), (1, 1, 2));
        busy.observe(&hosts, &observation(200, 2)).unwrap();
        hosts.rest();
        assert_eq!((ready(&busy), ready(&idle), all()), (1, 0, 1));
        let before = (idle.to_bytes(&hosts), idle.memory());
        idle.observe(&hosts, &observation(200, 3)).unwrap();
        let after = (idle.to_bytes(&hosts), idle.memory());
        assert!(before.0 != after.0 && before.1 < after.1 && all() == 2);
        assert_eq!(idle.summary(&DocumentOptions::default()).exchanges, 2);
    }

    #[tokio::test]
    async fn a_crowd_is_told() {
        let hosts = Hosts::new(Bounds {
            hosts: 3,
            host_memory: 1 << 20,
            model_memory: 1 << 30,
        });
        hosts.ready.store(MOST_READY, Relaxed);
        let host = hosts
            .get_or_create(&name("one"), 0, &mut Vec::new())
            .unwrap();
        host.observe(&hosts, &observation(200, 1)).unwrap();
        hosts.crowded().await;
    }
}
