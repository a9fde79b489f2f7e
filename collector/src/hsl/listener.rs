//! What arrives, on its way to the writer.
//!
//! In: the bytes of connections, and datagrams. Out: a [`Submission`] per record, and what is told of it: who sent, what is missing, what
//! was refused. Nothing is ever sent back.
//!
//! Whoever sends cannot be asked to send again, so a batch stays here until it is durable, and while the disk refuses it is submitted
//! again each second and nothing more is read: TCP hands that on, and HSL holds back or says so to the rule. UDP cannot wait and loses,
//! which is counted. Memory is what the ingest budget has, and a line per connection. Connections that never bring a signed record are
//! closed, as are those that stop within a line.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender as Submissions;
use std::time::Duration;

use silhouette_capture::Policy;
use silhouette_proto::telemetry::v1::Count;
use silhouette_serving::listen;
use silhouette_serving::refusals::Refusals;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::Instant;

use super::exchange::{Batch, Sender, Translator};
use super::gaps::{Arrival, Gaps};
use super::keys::{Keyring, KeysInForce};
use super::reader::{Line, Reader};
use super::record::Records;
use super::refused::{Refusal, Refused};
use crate::budget::Budget;
use crate::metrics::Metrics;
use crate::shims::{Heard, Shims};
use crate::writer::{Kept, NotKept, Submission};

/// Until a batch that could not be kept is submitted again.
const AGAIN: Duration = Duration::from_secs(1);
/// When the service ends, what has arrived is still read for so long.
const READING: Duration = Duration::from_secs(2);
/// And what was read is kept within so long.
const GRACE: Duration = Duration::from_secs(3);
/// Silence after which nothing more has arrived, when the service ends.
const QUIET: Duration = Duration::from_millis(200);
/// Bytes of a datagram.
const MAX_DATAGRAM: usize = 64 << 10;

/// What [`Hsl`] needs.
#[derive(Debug)]
pub struct Parts {
    /// To the writer thread.
    pub submissions: Submissions<Submission>,
    /// For what is not durable yet.
    pub budget: Budget,
    /// Who may send.
    pub keys: Arc<KeysInForce>,
    /// What is redacted, see [`Redaction::policy`](super::exchange::Redaction::policy).
    pub policy: Arc<Policy>,
    /// What is missing.
    pub gaps: Arc<Gaps>,
    /// What is refused.
    pub refused: Arc<Refused>,
    /// Connections that are closed.
    pub refusals: Arc<Refusals>,
    /// Who sends.
    pub shims: Arc<Shims>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// For the first signed record of a connection, and between two reads of a line.
    pub patience: Duration,
    /// Turns true when the service ends.
    pub ending: watch::Receiver<bool>,
}

/// What all listeners share.
#[derive(Debug)]
pub struct Hsl {
    parts: Parts,
}

/// The writer is gone.
struct Over;

/// A batch that is on its way.
struct Waiting {
    batch: Batch,
    from: SocketAddr,
    /// Its share of the budget, until it is durable.
    room: OwnedSemaphorePermit,
    answer: oneshot::Receiver<Result<Kept, NotKept>>,
}

/// Batches of one listener or connection that are not durable yet.
#[derive(Default)]
struct Pending {
    /// In the order of submission.
    waiting: VecDeque<Waiting>,
    /// Those that could not be kept.
    refused: Vec<Waiting>,
    again: Option<Instant>,
    arrivals: Vec<Arrival>,
}

/// What one sender's records said, until it is told.
struct Told {
    sender: Arc<Sender>,
    exchanges: u64,
    captured: u64,
    dropped: Vec<Count>,
    skipped: Vec<Count>,
}

/// The way of records from one connection or datagram socket.
struct Intake<'a> {
    hsl: &'a Hsl,
    /// `hsl`, `hsl_tls` or `hsl_udp`.
    listener: &'static str,
    peer: SocketAddr,
    translator: Translator,
    pending: Pending,
    told: Vec<Told>,
    /// A signed record has come.
    proven: bool,
    /// Nothing waits: what finds no room is lost.
    hurried: bool,
}

impl Hsl {
    /// Ready for connections.
    pub fn new(parts: Parts) -> Hsl {
        Hsl { parts }
    }

    /// Takes what a connection brings until it ends or the service does, and returns when all of it is durable.
    pub async fn stream(
        &self,
        listener: &'static str,
        mut stream: impl AsyncRead + Unpin,
        peer: SocketAddr,
    ) {
        let mut intake = Intake::new(self, listener, peer, false);
        let mut reader = Reader::default();
        let mut ending = self.parts.ending.clone();
        let mut deadline = Instant::now() + self.parts.patience;
        loop {
            let limited = !intake.proven || reader.is_within_a_line();
            tokio::select! {
                biased;
                settled = intake.pending.settle(self), if !intake.pending.is_empty() => {
                    if settled.is_err() {
                        return;
                    }
                    // Nobody is to blame for silence while nothing was read.
                    if intake.proven {
                        deadline = Instant::now() + self.parts.patience;
                    }
                    continue;
                }
                // Before reading, or who never stops sending would never be stopped.
                () = ended(&mut ending) => {
                    intake.last_words(&mut stream, &mut reader).await;
                    break;
                }
                () = tokio::time::sleep_until(deadline), if limited && intake.pending.is_open() => {
                    intake.give_up();
                    break;
                }
                read = stream.read_buf(reader.space()), if intake.pending.is_open() => match read {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                },
            }
            if intake.lines(&mut reader).await.is_err() {
                return;
            }
            // To other connections of the same TMM, lest one that has much to read runs far ahead of them.
            tokio::task::yield_now().await;
            if intake.proven {
                deadline = Instant::now() + self.parts.patience;
            }
        }
        if let Some(rest) = reader.rest() {
            // A last line may lack its LF; one that was cut is told from its length.
            let ring = self.parts.keys.ring();
            if intake
                .line(rest, &ring, crate::unix_millis())
                .await
                .is_err()
            {
                return;
            }
            intake.tell();
        }
        intake.pending.settle_all(self).await;
    }

    /// Takes datagrams until the service ends.
    pub async fn datagrams(&self, listener: &'static str, socket: UdpSocket) {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut intake = Intake::new(self, listener, nobody, true);
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut ending = self.parts.ending.clone();
        loop {
            tokio::select! {
                biased;
                settled = intake.pending.settle(self), if !intake.pending.is_empty() => {
                    if settled.is_err() {
                        return;
                    }
                }
                // Before reading, or who never stops sending would keep the service from ending.
                () = ended(&mut ending) => break,
                received = socket.recv_from(&mut buffer) => {
                    let Ok((len, peer)) = received else {
                        // There is nobody to tell; the next one may fail at once as well.
                        tokio::time::sleep(AGAIN / 5).await;
                        continue;
                    };
                    intake.peer = peer;
                    let datagram = buffer.get(..len).unwrap_or_default();
                    if intake.datagram(datagram).await.is_err() {
                        return;
                    }
                }
            }
        }
        // What has arrived already.
        let until = Instant::now() + READING;
        while Instant::now() < until
            && let Ok((len, peer)) = socket.try_recv_from(&mut buffer)
        {
            intake.peer = peer;
            let datagram = buffer.get(..len).unwrap_or_default();
            if intake.datagram(datagram).await.is_err() {
                return;
            }
        }
        intake.pending.settle_all(self).await;
    }

    fn submit(&self, batch: &Batch) -> Result<oneshot::Receiver<Result<Kept, NotKept>>, Over> {
        let (answer, answered) = oneshot::channel();
        let metrics = &self.parts.metrics;
        metrics.received.inc();
        let submission = Submission {
            instance: batch.sender.instance,
            sequence: batch.sequence,
            payload: batch.payload.clone(),
            exchanges: 1,
            permit: None,
            answer,
        };
        if self.parts.submissions.send(submission).is_err() {
            metrics.unacknowledged.inc();
            return Err(Over);
        }
        Ok(answered)
    }
}

impl<'a> Intake<'a> {
    fn new(hsl: &'a Hsl, listener: &'static str, peer: SocketAddr, hurried: bool) -> Intake<'a> {
        Intake {
            hsl,
            listener,
            peer,
            translator: Translator::new(hsl.parts.policy.clone()),
            pending: Pending::default(),
            told: Vec::new(),
            proven: false,
            hurried,
        }
    }

    fn refuse(&self, refusal: &Refusal, line_bytes: usize, now: u64) {
        let refused = &self.hsl.parts.refused;
        refused.count(self.listener, refusal, line_bytes, self.peer, now);
    }

    /// Every whole line there is.
    async fn lines(&mut self, reader: &mut Reader) -> Result<(), Over> {
        let ring = self.hsl.parts.keys.ring();
        let now = crate::unix_millis();
        while let Some(line) = reader.next_line() {
            match line {
                Line::Whole(line) => self.line(line, &ring, now).await?,
                Line::TooLong(bytes) => self.refuse(&Refusal::TooLong(bytes), bytes, now),
            }
        }
        self.tell();
        Ok(())
    }

    /// The lines of one datagram, of which the last one needs no LF.
    async fn datagram(&mut self, datagram: &[u8]) -> Result<(), Over> {
        let now = crate::unix_millis();
        if !self.pending.is_open() {
            self.refuse(&Refusal::Busy, datagram.len(), now);
            return Ok(());
        }
        let ring = self.hsl.parts.keys.ring();
        for line in datagram.split(|byte| *byte == b'\n') {
            self.line(line, &ring, now).await?;
        }
        self.tell();
        Ok(())
    }

    async fn line(&mut self, line: &[u8], ring: &Keyring, now: u64) -> Result<(), Over> {
        let mut records = Records::of(line);
        while let Some(next) = records.next(ring) {
            self.proven |= next.is_ok();
            match next.and_then(|record| self.translator.translate(&record, now / 1000)) {
                Ok(batch) => self.take(batch, line.len(), now).await?,
                Err(refusal) => self.refuse(&refusal, line.len(), now),
            }
        }
        Ok(())
    }

    async fn take(&mut self, batch: Batch, line_bytes: usize, now: u64) -> Result<(), Over> {
        let parts = &self.hsl.parts;
        let bytes = batch.payload.len();
        let room = match parts.budget.room_now(bytes) {
            Some(room) => room,
            None if self.hurried => {
                self.refuse(&Refusal::Busy, line_bytes, now);
                return Ok(());
            }
            None => self.room(bytes).await?,
        };
        parts.metrics.batches.inc();
        parts.metrics.bytes.inc_by(bytes as u64);
        let listener = self.listener;
        parts
            .metrics
            .hsl_accepted
            .get_or_create(&listen::Name { listener })
            .inc();
        self.note(&batch);
        let answer = self.hsl.submit(&batch)?;
        self.pending.waiting.push_back(Waiting {
            batch,
            from: self.peer,
            room,
            answer,
        });
        Ok(())
    }

    /// Room as soon as there is some, which may be that of batches of our own.
    async fn room(&mut self, bytes: usize) -> Result<OwnedSemaphorePermit, Over> {
        let mut room = std::pin::pin!(self.hsl.parts.budget.room(bytes));
        loop {
            tokio::select! {
                room = &mut room => return room.map_err(|_| Over),
                settled = self.pending.settle(self.hsl), if !self.pending.is_empty() => settled?,
            }
        }
    }

    /// Remembers what a record says of its sender.
    fn note(&mut self, batch: &Batch) {
        let known = self
            .told
            .iter_mut()
            .find(|told| told.sender.instance == batch.sender.instance);
        let Some(told) = known else {
            self.told.push(Told {
                sender: batch.sender.clone(),
                exchanges: 1,
                captured: batch.sequence,
                dropped: batch.dropped.clone(),
                skipped: batch.skipped.clone(),
            });
            return;
        };
        told.exchanges += 1;
        if batch.sequence >= told.captured {
            told.captured = batch.sequence;
            told.sender = batch.sender.clone();
            told.dropped.clone_from(&batch.dropped);
            told.skipped.clone_from(&batch.skipped);
        }
    }

    /// Tells it, once for all records of a read.
    fn tell(&mut self) {
        let parts = &self.hsl.parts;
        for told in self.told.drain(..) {
            let heard = Heard {
                instance: told.sender.instance,
                shim: &told.sender.shim,
                exchanges: told.exchanges,
                captured: told.captured,
                dropped: &told.dropped,
                skipped: &told.skipped,
            };
            let key = Some(told.sender.key.as_str());
            let now = crate::unix_millis();
            parts
                .shims
                .heard(&heard, self.peer.ip(), key, now, &parts.metrics);
        }
        let odd = self.translator.take_odd_lines();
        parts.metrics.hsl_odd_header_lines.inc_by(odd);
    }

    /// What has arrived already, when the service ends.
    async fn last_words(&mut self, stream: &mut (impl AsyncRead + Unpin), reader: &mut Reader) {
        let until = Instant::now() + READING;
        while Instant::now() < until && self.pending.is_open() {
            let read = tokio::time::timeout(QUIET, stream.read_buf(reader.space()));
            match read.await {
                Ok(Ok(1..)) if self.lines(reader).await.is_ok() => {}
                _ => return,
            }
        }
    }

    /// Nothing comes that is worth the connection.
    fn give_up(&self) {
        let (reason, why) = if !self.proven {
            ("no_record", "no signed record within the time for one")
        } else {
            ("stalled", "nothing came for long in the middle of a line")
        };
        let parts = &self.hsl.parts;
        parts.refusals.count(self.listener, reason, self.peer, &why);
    }
}

/// The service ends.
async fn ended(ending: &mut watch::Receiver<bool>) {
    // An error is its end as well.
    let _ = ending.wait_for(|ending| *ending).await;
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.refused.is_empty()
    }

    /// Nothing has to be submitted again first.
    fn is_open(&self) -> bool {
        self.refused.is_empty()
    }

    /// Waits until something changes: batches are answered, or those that could not be kept are submitted again. May be dropped at
    /// any time.
    async fn settle(&mut self, hsl: &Hsl) -> Result<(), Over> {
        if let Some(first) = self.waiting.front_mut() {
            let answer = (&mut first.answer).await;
            let mut over = self.answered(answer.map_err(|_| Over));
            while over.is_ok()
                && let Some(next) = self.waiting.front_mut()
            {
                let answer = match next.answer.try_recv() {
                    Err(oneshot::error::TryRecvError::Empty) => break,
                    Err(oneshot::error::TryRecvError::Closed) => Err(Over),
                    Ok(answer) => Ok(answer),
                };
                over = self.answered(answer);
            }
            if !self.arrivals.is_empty() {
                hsl.parts.gaps.note(&self.arrivals, crate::unix_millis());
                self.arrivals.clear();
            }
            return over;
        }
        let at = *self.again.get_or_insert_with(|| Instant::now() + AGAIN);
        tokio::time::sleep_until(at).await;
        self.again = None;
        for mut one in self.refused.drain(..) {
            one.answer = hsl.submit(&one.batch)?;
            self.waiting.push_back(one);
        }
        Ok(())
    }

    /// The answer for the first of those that wait.
    fn answered(&mut self, answer: Result<Result<Kept, NotKept>, Over>) -> Result<(), Over> {
        let answer = answer?;
        let Some(first) = self.waiting.pop_front() else {
            return Ok(());
        };
        match answer {
            Ok(kept) => {
                self.arrivals.push(Arrival {
                    refused_by_hsl: first.batch.refused_by_hsl(),
                    sequence: first.batch.sequence,
                    sender: first.batch.sender,
                    address: first.from.ip(),
                    kept,
                });
                drop(first.room);
            }
            Err(_) => self.refused.push(first),
        }
        Ok(())
    }

    /// Waits until all is durable; when the service ends, not for ever.
    async fn settle_all(&mut self, hsl: &Hsl) {
        let mut ending = hsl.parts.ending.clone();
        let over = async {
            ended(&mut ending).await;
            tokio::time::sleep(GRACE).await;
        };
        let mut over = std::pin::pin!(over);
        while !self.is_empty() {
            tokio::select! {
                settled = self.settle(hsl) => if settled.is_err() { return },
                () = &mut over => {
                    let lost = self.waiting.len() + self.refused.len();
                    tracing::error!(
                        records = lost,
                        "the disk refuses, and HSL does not send again what these records had"
                    );
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
