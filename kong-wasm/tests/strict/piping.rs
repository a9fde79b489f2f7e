//! A response's body on its way from the origin to the client, past the filter.
//!
//! In: the origin's frames. Out: the same bytes in the pieces in which nginx hands them on, each after the filter has seen it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use anyhow::{Error, Result, anyhow};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};

use super::front::{Front, Passage};
use super::worker::Step;

/// Pieces of response bodies, in turn: what fits nginx's buffers, alone and several together.
const PIECES: [usize; 3] = [4096, 8192, LARGEST_PIECE];
const LARGEST_PIECE: usize = 26_000;
/// How often others get their turn before data goes on: what has arrived together goes on together.
const WAITS: u8 = 4;

/// Where a response's body comes from.
pub enum Source {
    Origin(Incoming),
    Text(Option<Bytes>),
}

/// What a source gives next.
enum Next {
    Data(Bytes),
    Trailers(Frame<Bytes>),
    Error(Error),
    End,
}

impl Source {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let body = match self {
            Source::Text(text) => return Poll::Ready(text.take().map_or(Next::End, Next::Data)),
            Source::Origin(body) => body,
        };
        Poll::Ready(match ready!(Pin::new(body).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Next::Data(data),
                Err(trailers) => Next::Trailers(trailers),
            },
            Some(Err(error)) => Next::Error(error.into()),
            None => Next::End,
        })
    }
}

/// See the module's documentation.
pub struct Piping {
    passage: Option<Passage>,
    source: Source,
    gathered: BytesMut,
    waits: u8,
    /// What came after the data that is on its way.
    held: Option<Next>,
    pieces: VecDeque<Bytes>,
    turn: usize,
    /// The filter is shown none of it.
    pub silent: bool,
    ended: bool,
    _front: Rc<Front>,
}

impl Piping {
    pub fn new(passage: Passage, source: Source) -> Piping {
        let front = passage.front().clone();
        Piping {
            passage: Some(passage),
            source,
            ..Piping::nothing(front)
        }
    }

    /// The body of a response that has none, and of which the filter is told elsewhere.
    pub fn nothing(front: Rc<Front>) -> Piping {
        Piping {
            passage: None,
            source: Source::Text(None),
            gathered: BytesMut::new(),
            waits: 0,
            held: None,
            pieces: VecDeque::new(),
            turn: 0,
            silent: false,
            ended: false,
            _front: front,
        }
    }

    /// Nobody will ask for a body of which it is known that there is none.
    ///
    /// # Errors
    /// When the filter does not survive being told.
    pub fn is_empty(&mut self) -> Result<()> {
        self.ended = true;
        self.show(&[], true)
    }

    fn cut(&mut self) {
        while !self.gathered.is_empty() {
            let size = PIECES.get(self.turn % PIECES.len()).copied();
            let size = size.unwrap_or(LARGEST_PIECE).min(self.gathered.len());
            self.turn += 1;
            self.pieces.push_back(self.gathered.split_to(size).freeze());
        }
    }

    fn show(&mut self, piece: &[u8], last: bool) -> Result<()> {
        let Some(passage) = &mut self.passage else {
            return Ok(());
        };
        if self.silent {
            return Ok(());
        }
        let end = match passage.exchange().announced() {
            Some(announced) => piece.len() == announced,
            None => last,
        };
        if piece.is_empty() && !end {
            return Ok(());
        }
        passage.exchange().chunk = piece.to_vec();
        passage.exchange().body_bytes_sent += piece.len() as u64;
        match passage.step(Step::ResponseBody, end) {
            true => Ok(()),
            false => Err(anyhow!("the filter was lost while the response passed")),
        }
    }
}

impl Body for Piping {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(self.show(&piece, false).map(|()| Frame::data(piece))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let next = match self.held.take() {
                Some(next) => next,
                None => match self.source.poll(context) {
                    Poll::Ready(next) => next,
                    Poll::Pending if self.gathered.is_empty() => return Poll::Pending,
                    Poll::Pending if self.waits < WAITS => {
                        self.waits += 1;
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Pending => {
                        self.cut();
                        continue;
                    }
                },
            };
            self.waits = 0;
            match next {
                Next::Data(data) => {
                    self.gathered.extend_from_slice(&data);
                    if self.gathered.len() >= LARGEST_PIECE {
                        self.cut();
                    }
                }
                next if !self.gathered.is_empty() => {
                    self.cut();
                    self.held = Some(next);
                }
                Next::Error(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Next::Trailers(frame) => {
                    self.ended = true;
                    return Poll::Ready(Some(self.show(&[], true).map(|()| frame)));
                }
                Next::End => {
                    self.ended = true;
                    if let Err(error) = self.show(&[], true) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
