//! Large bodies: how much memory all of them may take at once.
//!
//! In: requests with bodies that may be larger than [`SMALL`]. Out: their bytes, with the [`Room`] they take until whoever uses them is
//! done. Room is taken before the first byte is read, by the length the request gives or else by the most that is taken; who finds
//! none waits a while and is then told to come again. Nobody waits for room while holding some. Whoever sends slowly keeps its
//! room only while nobody else waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Interval};

use crate::Refusal;

/// Bodies of at most so many bytes take no room: connections are bounded, and these do not fill the memory.
pub const SMALL: usize = 1 << 20;

/// What room is counted in, in bytes.
const UNIT: usize = 64 << 10;
/// What is said to who found none, in seconds.
const COME_AGAIN: u64 = 5;
/// Bytes a second that keep a sender's room when others wait for it.
const PACE: u64 = 1 << 20;
/// Of what is not wanted any more so much is read and thrown away: a connection that is closed on unread bytes takes the answer away
/// from its client.
const REST: usize = 64 << 20;
/// For as long.
const REST_TIME: Duration = Duration::from_secs(5);

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// `busy` or `slow`.
    pub reason: &'static str,
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For room.
    wait: Duration,
    /// For a sender to get going.
    start: Duration,
    /// Between two looks at how a body comes.
    look: Duration,
}

const PATIENCE: Patience = Patience {
    wait: Duration::from_secs(10),
    start: Duration::from_secs(5),
    look: Duration::from_secs(1),
};

/// What is counted of bodies.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    /// Bytes for which room is taken.
    pub held: Gauge,
    /// The most there were.
    pub peak: Gauge,
    /// Requests that wait for room.
    pub waiting: Gauge,
    /// Bodies that were given up for want of room.
    pub refused: Family<Reason, Counter>,
}

impl Meters {
    fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }
}

/// The memory for large bodies. Clones share it.
#[derive(Debug, Clone)]
pub struct Bodies {
    free: Arc<Semaphore>,
    units: usize,
    patience: Patience,
    meters: Meters,
}

/// Why a body is not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than are taken.
    #[error("the body has more than {limit} bytes, which is the most that is taken")]
    TooLarge {
        /// The most.
        limit: usize,
    },
    /// No room was free in time.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// It came slowly, and others waited for its room.
    #[error("the body came too slowly while others were waiting to send theirs; come again")]
    Slow,
    /// It ended too early.
    #[error("the body ended before it was whole")]
    Cut,
}

/// No room was free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many large bodies are being taken at once; come again in {seconds} s")]
pub struct Busy {
    /// When to come again.
    pub seconds: u64,
}

impl From<Busy> for Refusal {
    fn from(Busy { seconds }: Busy) -> Refusal {
        Refusal::Busy { seconds }
    }
}

/// Memory that is taken for a body, given back when this is dropped.
#[derive(Debug)]
#[must_use = "the room is given back when this is dropped"]
pub struct Room {
    permit: Option<OwnedSemaphorePermit>,
    meters: Meters,
}

impl Room {
    /// The body turned out to need less.
    pub fn shrink(&mut self, bytes: usize) {
        let Some(permit) = &mut self.permit else {
            return;
        };
        let more = permit.num_permits().saturating_sub(units(bytes));
        if let Some(back) = permit.split(more) {
            self.meters.held.dec_by(bytes_of(back.num_permits()));
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(permit) = &self.permit {
            self.meters.held.dec_by(bytes_of(permit.num_permits()));
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).max(1)
}

fn bytes_of(units: usize) -> i64 {
    i64::try_from(units * UNIT).unwrap_or(i64::MAX)
}

/// Somebody who waits, also when it gives up.
struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Bodies {
    /// For so many bytes at once.
    #[must_use]
    pub fn new(bytes: usize, meters: Meters) -> Bodies {
        let units = units(bytes).min(Semaphore::MAX_PERMITS);
        Bodies {
            free: Arc::new(Semaphore::new(units)),
            units,
            patience: PATIENCE,
            meters,
        }
    }

    /// Room for so many bytes; what is [`SMALL`] needs none, what is larger than all there is gets all there is. Not to be asked for
    /// by who holds some.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn room(&self, bytes: usize) -> Result<Room, Busy> {
        let mut room = Room {
            permit: None,
            meters: self.meters.clone(),
        };
        if bytes <= SMALL {
            return Ok(room);
        }
        let wanted = u32::try_from(units(bytes).min(self.units)).unwrap_or(u32::MAX);
        self.meters.waiting.inc();
        let waiting = Waiting(self.meters.waiting.clone());
        let free = Arc::clone(&self.free);
        let found = tokio::time::timeout(self.patience.wait, free.acquire_many_owned(wanted)).await;
        drop(waiting);
        let Ok(Ok(permit)) = found else {
            self.meters.refused("busy");
            return Err(Busy {
                seconds: COME_AGAIN,
            });
        };
        let taken = bytes_of(permit.num_permits());
        let held = self.meters.held.inc_by(taken) + taken;
        self.meters.peak.inner().fetch_max(held, Relaxed);
        room.permit = Some(permit);
        Ok(room)
    }

    /// Lets a body of at most `limit` bytes come in. `copies`: how often its bytes are in memory at once. What is read from the request
    /// fails with a [`BodyError`] below; [`stopped`] finds it.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] before anything is read, where its length is given; [`BodyError::Busy`].
    pub async fn let_in(
        &self,
        request: Request,
        limit: usize,
        copies: usize,
    ) -> Result<(Request, Room), BodyError> {
        let most = request.body().size_hint().upper();
        let most = most.map_or(limit, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let (parts, sent) = request.into_parts();
        let mut body = Watched {
            sent: Some(sent),
            limit,
            received: 0,
            pace: None,
            ended: None,
        };
        if most > limit {
            body.ended = Some(BodyError::TooLarge { limit });
            return Err(BodyError::TooLarge { limit });
        }
        let copies = if most > SMALL { copies } else { 1 };
        let room = match self.room(most.saturating_mul(copies)).await {
            Ok(room) => room,
            Err(busy) => {
                body.ended = Some(busy.into());
                return Err(busy.into());
            }
        };
        if room.permit.is_some() {
            let mut tick = tokio::time::interval(self.patience.look);
            tick.reset();
            body.pace = Some(Pace {
                tick,
                since: Instant::now(),
                start: self.patience.start,
                meters: self.meters.clone(),
            });
        }
        Ok((Request::from_parts(parts, Body::new(body)), room))
    }

    /// The whole body, and the room it takes.
    ///
    /// # Errors
    /// Any [`BodyError`].
    pub async fn read(
        &self,
        request: Request,
        limit: usize,
        copies: usize,
    ) -> Result<(Bytes, Room), BodyError> {
        let (request, room) = self.let_in(request, limit, copies).await?;
        let mut body = request.into_body();
        let most = body.size_hint().exact().unwrap_or_default();
        let most = usize::try_from(most).unwrap_or_default().min(limit);
        let mut whole = BytesMut::with_capacity(most);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| stopped(&error).unwrap_or(BodyError::Cut))?;
            if let Ok(data) = frame.into_data() {
                whole.extend_from_slice(&data);
            }
        }
        Ok((whole.freeze(), room))
    }
}

/// What stopped a body, wherever in the chain of causes that is.
pub fn stopped(error: &(dyn std::error::Error + 'static)) -> Option<BodyError> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<BodyError>() {
            return Some(found.clone());
        }
        at = error.source();
    }
    None
}

/// A body that is watched while it comes in.
struct Watched {
    sent: Option<Body>,
    limit: usize,
    received: usize,
    /// With room.
    pace: Option<Pace>,
    ended: Option<BodyError>,
}

/// How quickly a body comes.
struct Pace {
    /// When to look.
    tick: Interval,
    since: Instant,
    /// Until then it need not come quickly.
    start: Duration,
    meters: Meters,
}

impl Watched {
    fn end(&mut self, error: BodyError) -> BodyError {
        self.ended = Some(error.clone());
        error
    }
}

/// Whether it comes too slowly to keep others waiting.
fn is_slow(received: usize, since: Duration, start: Duration) -> bool {
    let due = since.saturating_sub(start).as_secs_f64() * PACE as f64;
    (received as f64) < due
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(sent) = this.sent.as_mut().filter(|_| this.ended.is_none()) else {
            return Poll::Ready(None);
        };
        match Pin::new(sent).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received += frame.data_ref().map_or(0, Bytes::len);
                if this.received > this.limit {
                    let limit = this.limit;
                    return Poll::Ready(Some(Err(this.end(BodyError::TooLarge { limit }))));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                this.sent = None;
                Poll::Ready(Some(Err(this.end(BodyError::Cut))))
            }
            Poll::Ready(None) => {
                this.sent = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(pace) = &mut this.pace else {
                    return Poll::Pending;
                };
                while pace.tick.poll_tick(cx).is_ready() {
                    if pace.meters.waiting.get() > 0
                        && is_slow(this.received, pace.since.elapsed(), pace.start)
                    {
                        pace.meters.refused("slow");
                        return Poll::Ready(Some(Err(this.end(BodyError::Slow))));
                    }
                }
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let sent = self.sent.as_ref();
        sent.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Watched {
    /// What is left of a body that was refused is read and thrown away.
    fn drop(&mut self) {
        let Some(mut rest) = self.sent.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let throw_away = async move {
            let mut left = REST;
            while let Some(Ok(frame)) = rest.frame().await {
                match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        };
        runtime.spawn(tokio::time::timeout(REST_TIME, throw_away));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(bytes: usize, wait: Duration) -> Bodies {
        let patience = Patience {
            wait,
            start: Duration::from_millis(50),
            look: Duration::from_millis(5),
        };
        Bodies {
            patience,
            ..Bodies::new(bytes, Meters::default())
        }
    }

    /// How long to wait for room that comes, and for room that does not.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(500);

    fn request(body: impl Into<Body>) -> Request {
        Request::new(body.into())
    }

    /// A body that gives its length, and of which these bytes come and no more.
    fn hanging(length: u64, come: usize) -> Request {
        struct Hanging(u64, Option<Bytes>);
        impl hyper::body::Body for Hanging {
            type Data = Bytes;
            type Error = std::convert::Infallible;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                match self.1.take() {
                    Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    None => Poll::Pending,
                }
            }

            fn size_hint(&self) -> SizeHint {
                SizeHint::with_exact(self.0)
            }
        }
        Request::new(Body::new(Hanging(length, Some(vec![b'x'; come].into()))))
    }

    #[tokio::test]
    async fn room_is_taken_by_length_and_given_back() {
        let bodies = bodies(8 << 20, SHORT);
        let held = || bodies.meters.held.get();
        let (small, none) = bodies
            .read(request(vec![1; SMALL]), 4 << 20, 1)
            .await
            .unwrap();
        assert_eq!((small.len(), held()), (SMALL, 0));
        drop(none);
        let (_, mut room) = bodies
            .read(request(vec![1; 2 << 20]), 4 << 20, 2)
            .await
            .unwrap();
        assert_eq!(held(), 4 << 20);
        room.shrink(2 << 20);
        assert_eq!(held(), 2 << 20);
        // More than there is: all there is, once that is free.
        assert_eq!(
            bodies.room(100 << 20).await.unwrap_err(),
            Busy {
                seconds: COME_AGAIN
            }
        );
        drop(room);
        let all = bodies.room(100 << 20).await.unwrap();
        assert_eq!(held(), 8 << 20);
        drop(all);
        assert_eq!((held(), bodies.meters.peak.get()), (0, 8 << 20));
        assert_eq!(bodies.meters.waiting.get(), 0);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_at_the_limit_or_before() {
        let bodies = bodies(8 << 20, LONG);
        let large = BodyError::TooLarge { limit: 10 };
        let declared = bodies.read(request(vec![1; 11]), 10, 1).await;
        assert_eq!(declared.unwrap_err(), large);
        let chunks = (0..11).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"x")));
        let stream = || Body::from_stream(tokio_stream::iter(chunks.clone()));
        let undeclared = bodies.read(request(stream()), 10, 1).await;
        assert_eq!(undeclared.unwrap_err(), large);
        let (fits, _room) = bodies.read(request(stream()), 11, 1).await.unwrap();
        assert_eq!(fits.len(), 11);
        let broken = [Err::<Bytes, _>(std::io::Error::other("reset"))];
        let broken = Body::from_stream(tokio_stream::iter(broken));
        let cut = bodies.read(request(broken), 10, 1).await;
        assert_eq!(cut.unwrap_err(), BodyError::Cut);
    }

    #[tokio::test]
    async fn who_sends_slowly_keeps_room_only_while_nobody_waits_for_it() {
        let bodies = Arc::new(bodies(8 << 20, LONG));
        let reader = Arc::clone(&bodies);
        let slow = tokio::spawn(async move { reader.read(hanging(8 << 20, 10), 8 << 20, 1).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!slow.is_finished(), "nobody waits");
        let (quick, _room) = bodies
            .read(request(vec![1; 2 << 20]), 8 << 20, 1)
            .await
            .unwrap();
        assert_eq!(quick.len(), 2 << 20);
        assert_eq!(slow.await.unwrap().unwrap_err(), BodyError::Slow);
    }

    #[test]
    fn a_mebibyte_a_second_is_quick_enough() {
        let second = Duration::from_secs(1);
        assert!(!is_slow(0, second, second));
        assert!(is_slow(0, 2 * second, second));
        assert!(!is_slow(1 << 20, 2 * second, second));
    }
}
