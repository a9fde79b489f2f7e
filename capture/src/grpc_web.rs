//! gRPC-Web framing of one unary call, for gateways that cannot speak HTTP/2 or cannot see its trailers.
//!
//! In: a message to send; the bytes of the answer as they arrive. Out: a request body; messages and the call's status. See
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>: frames of a flag byte, a length of four bytes and the
//! message; the trailers come as a last frame whose flag has bit 0x80. It decompresses nothing and knows no text mode.

use crate::redact::percent_decode;

/// The request's `content-type`, and what to `accept`.
pub const CONTENT_TYPE: &str = "application/grpc-web+proto";
/// The path of the unary call.
pub const EXPORT_PATH: &str = "/silhouette.telemetry.v1.TelemetryService/Export";

const PREFIX: usize = 5;
const TRAILERS: u8 = 0x80;
/// Trailers are a status and a sentence.
const MOST_TRAILER_BYTES: usize = 16 << 10;
const MOST_MESSAGES: usize = 1024;

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More than the four bytes of the length can say.
    #[error("a message of {0} bytes does not fit a gRPC frame, which holds at most 4294967295")]
    TooLong(usize),
    /// More than the caller accepts.
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    OverLimit {
        /// What the frame's prefix says.
        length: usize,
        /// What would be accepted.
        limit: usize,
    },
    /// Something else than a message or the trailers; a compressed one, say.
    #[error(
        "a frame has the flags {0:#04x}: only 0x00 (message) and 0x80 (trailers) are understood"
    )]
    Flags(u8),
    /// Something follows the trailers.
    #[error("{0} bytes follow the trailers, which should be the last frame")]
    AfterTrailers(usize),
    /// The answer ended within a frame.
    #[error("the answer ends within a frame: {missing} bytes are missing")]
    Truncated {
        /// How many.
        missing: usize,
    },
    /// Neither trailers nor headers have one.
    #[error("the answer has no grpc-status, neither in its headers nor in a trailer frame")]
    NoStatus,
    /// Something else than a number.
    #[error("grpc-status is not a number from 0 to 4294967295")]
    BadStatus,
}

/// Frames one message as a request body.
pub fn frame(message: &[u8]) -> Result<Vec<u8>, FrameError> {
    let length = u32::try_from(message.len()).map_err(|_| FrameError::TooLong(message.len()))?;
    let mut out = Vec::with_capacity(PREFIX + message.len());
    out.push(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    Ok(out)
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// 0 is success; see <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>.
    pub code: u32,
    /// Percent-decoded, for people.
    pub message: String,
}

/// A complete answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The messages; a unary call that succeeded has one.
    pub messages: Vec<Vec<u8>>,
    /// How the call ended.
    pub status: Status,
}

/// Reads an answer chunk by chunk.
#[derive(Clone, Debug)]
pub struct Decoder {
    limit: usize,
    /// What belongs to a frame that is not complete.
    pending: Vec<u8>,
    messages: Vec<Vec<u8>>,
    trailers: Option<Vec<u8>>,
}

impl Decoder {
    /// `limit` bounds each message, in bytes.
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            limit,
            pending: Vec::new(),
            messages: Vec::new(),
            trailers: None,
        }
    }

    /// The next bytes of the answer's body. After an error the answer is lost; do not go on.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), FrameError> {
        while !chunk.is_empty() {
            if self.trailers.is_some() {
                return Err(FrameError::AfterTrailers(chunk.len()));
            }
            // The prefix first, so that its length is checked before anything is kept.
            let wanted = match self.length()? {
                None => PREFIX,
                Some(length) => PREFIX + length,
            };
            let missing = wanted.saturating_sub(self.pending.len()).min(chunk.len());
            let (taken, rest) = chunk.split_at_checked(missing).unwrap_or((chunk, b""));
            self.pending.extend_from_slice(taken);
            chunk = rest;
            self.complete()?;
        }
        Ok(())
    }

    /// The length in the pending frame's prefix, once it is there.
    fn length(&self) -> Result<Option<usize>, FrameError> {
        let Some([flags, a, b, c, d]) = self.pending.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let limit = match *flags {
            0 if self.messages.len() >= MOST_MESSAGES => 0,
            0 => self.limit,
            TRAILERS => MOST_TRAILER_BYTES,
            flags => return Err(FrameError::Flags(flags)),
        };
        if length > limit {
            return Err(FrameError::OverLimit { length, limit });
        }
        Ok(Some(length))
    }

    /// Takes the pending frame when it is complete.
    fn complete(&mut self) -> Result<(), FrameError> {
        let Some(length) = self.length()? else {
            return Ok(());
        };
        if self.pending.len() < PREFIX + length {
            return Ok(());
        }
        let frame = std::mem::take(&mut self.pending);
        let body = frame.get(PREFIX..).unwrap_or_default().to_vec();
        if frame.first() == Some(&TRAILERS) {
            self.trailers = Some(body);
        } else {
            self.messages.push(body);
        }
        Ok(())
    }

    /// The end of the answer. `headers` are those of the HTTP response: some servers and proxies answer with `grpc-status`
    /// there when there is no message.
    pub fn finish<'h>(
        self,
        headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<Reply, FrameError> {
        if !self.pending.is_empty() {
            let wanted = PREFIX + self.length()?.unwrap_or(0);
            return Err(FrameError::Truncated {
                missing: wanted.saturating_sub(self.pending.len()),
            });
        }
        let status = match &self.trailers {
            Some(trailers) => status(trailers.split(|b| *b == b'\n').filter_map(|line| {
                let colon = memchr::memchr(b':', line)?;
                Some((line.get(..colon)?, line.get(colon + 1..)?))
            }))?,
            None => None,
        };
        let status = match status {
            Some(status) => status,
            None => status_in_headers(headers)?,
        };
        Ok(Reply {
            messages: self.messages,
            status,
        })
    }
}

fn status_in_headers<'h>(
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<Status, FrameError> {
    status(headers.into_iter())?.ok_or(FrameError::NoStatus)
}

fn status<'h>(
    fields: impl Iterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<Option<Status>, FrameError> {
    let (mut code, mut message) = (None, String::new());
    for (name, value) in fields {
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        if name.eq_ignore_ascii_case(b"grpc-status") {
            let number = std::str::from_utf8(value)
                .ok()
                .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            code = Some(
                number
                    .and_then(|text| text.parse().ok())
                    .ok_or(FrameError::BadStatus)?,
            );
        } else if name.eq_ignore_ascii_case(b"grpc-message") {
            let mut plain = Vec::new();
            percent_decode(value.get(..MOST_TRAILER_BYTES).unwrap_or(value), &mut plain);
            message = String::from_utf8_lossy(&plain).into_owned();
        }
    }
    Ok(code.map(|code| Status { code, message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_HEADERS: [(&[u8], &[u8]); 0] = [];

    fn answer(messages: &[&[u8]], trailers: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend(frame(message).unwrap());
        }
        if let Some(trailers) = trailers {
            let mut last = frame(trailers.as_bytes()).unwrap();
            last[0] = TRAILERS;
            bytes.extend(last);
        }
        bytes
    }

    fn decode(bytes: &[u8], chunk: usize) -> Result<Reply, FrameError> {
        let mut decoder = Decoder::new(1000);
        for chunk in bytes.chunks(chunk) {
            decoder.push(chunk)?;
        }
        decoder.finish(NO_HEADERS)
    }

    #[test]
    fn any_split_gives_the_same_reply() {
        let bytes = answer(
            &[b"", b"hello"],
            Some("Grpc-Status: 8\r\ngrpc-message:too%20%e2%82%ac%20much\r\n"),
        );
        let wanted = Reply {
            messages: vec![vec![], b"hello".to_vec()],
            status: Status {
                code: 8,
                message: "too € much".to_owned(),
            },
        };
        for chunk in 1..=bytes.len() {
            assert_eq!(decode(&bytes, chunk).as_ref(), Ok(&wanted), "{chunk}");
        }
    }

    #[test]
    fn the_status_may_be_in_the_headers() {
        let headers: [(&[u8], &[u8]); 2] =
            [(b"Grpc-Status", b"16"), (b"grpc-message", b"no%20token")];
        let reply = Decoder::new(10).finish(headers).unwrap();
        assert_eq!(
            reply.status,
            Status {
                code: 16,
                message: "no token".to_owned()
            }
        );
        let mut decoder = Decoder::new(10);
        decoder
            .push(&answer(&[b"x"], Some("grpc-status:0\r\n")))
            .unwrap();
        assert_eq!(decoder.finish(headers).unwrap().status.code, 0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let whole = answer(&[b"hello"], Some("grpc-status:0"));
        for (bytes, wanted) in [
            (
                answer(&[&[0; 1001]], None),
                FrameError::OverLimit {
                    length: 1001,
                    limit: 1000,
                },
            ),
            (vec![1, 0, 0, 0, 0], FrameError::Flags(1)),
            (vec![0x81, 0, 0, 0, 0], FrameError::Flags(0x81)),
            (whole[..7].to_vec(), FrameError::Truncated { missing: 3 }),
            (whole[..3].to_vec(), FrameError::Truncated { missing: 2 }),
            (
                [whole.as_slice(), b"xy"].concat(),
                FrameError::AfterTrailers(2),
            ),
            (answer(&[b"hello"], None), FrameError::NoStatus),
            (answer(&[], Some("grpc-message: x")), FrameError::NoStatus),
            (answer(&[], Some("grpc-status: +1")), FrameError::BadStatus),
            (
                vec![0, 255, 255, 255, 255],
                FrameError::OverLimit {
                    length: u32::MAX as usize,
                    limit: 1000,
                },
            ),
        ] {
            assert_eq!(decode(&bytes, bytes.len()), Err(wanted));
            assert_ne!(wanted.to_string(), "");
        }
        assert_eq!(decode(b"", 1), Err(FrameError::NoStatus));
    }

    #[test]
    fn memory_is_bounded_by_the_limit() {
        let mut decoder = Decoder::new(1);
        for _ in 0..MOST_MESSAGES {
            decoder.push(&frame(b"x").unwrap()).unwrap();
        }
        assert!(decoder.push(&frame(b"x").unwrap()).is_err());
    }
}
