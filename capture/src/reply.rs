//! What became of a batch that was sent as a gRPC-Web unary call.
//!
//! In: the HTTP answer to the call, from whoever stands at the collector's address. Out: an [`Outcome`] for the outbox, with words
//! for the operator. What a stranger says is never repeated beyond 200 characters, and never breaks a line of a log.

use prost::Message;
use silhouette_proto::telemetry::v1::ExportResponse;

use crate::grpc_web::Decoder;

/// An answer is a few numbers: of a longer one nobody need read more, in bytes.
pub const MOST_ANSWER: usize = 64 << 10;

/// This many characters are shown of what a server says.
const MOST_SHOWN: usize = 200;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Acknowledged {
        /// Everything up to this number is.
        sequence: u64,
        /// The pause the collector asks for.
        retry_after_ms: u32,
    },
    /// The collector will never take it, and says why.
    Rejected(String),
    /// It is to be sent again; the reason is a whole sentence's beginning.
    Failed(String),
}

/// The HTTP answer to a call. An empty one, without headers and body, is that of a host that could not reach anybody.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status as text; hosts have it so or can write it.
    pub status: &'a [u8],
    /// `content-type`.
    pub content_type: &'a [u8],
    /// The body, or its first [`MOST_ANSWER`] bytes.
    pub body: &'a [u8],
}

/// Judges the answer to batch `sequence`. `collector` is what the operator knows it as; `headers` are all of the answer's,
/// since `grpc-status` may stand there.
pub fn outcome<'h>(
    collector: &str,
    sequence: u64,
    answer: &Answer<'_>,
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Outcome {
    let status = String::from_utf8_lossy(answer.status);
    if !answer.content_type.starts_with(b"application/grpc") && answer.status != b"200" {
        // A gateway answers so itself when nobody listens.
        return Outcome::Failed(format!(
            "could not reach the collector at {collector}: HTTP {status}: {}",
            shown(&String::from_utf8_lossy(answer.body))
        ));
    }
    let mut decoder = Decoder::new(MOST_ANSWER);
    let reply = decoder
        .push(answer.body)
        .and_then(|()| decoder.finish(headers));
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            return Outcome::Failed(format!(
                "{collector} answers HTTP {status} and no gRPC-Web ({error}): is that a Silhouette collector?"
            ));
        }
    };
    let said = shown(&reply.status.message);
    match reply.status.code {
        0 => {
            let response = reply
                .messages
                .first()
                .map(|message| ExportResponse::decode(message.as_slice()));
            match response {
                Some(Ok(response)) if response.acknowledged_sequence >= sequence => {
                    Outcome::Acknowledged {
                        sequence: response.acknowledged_sequence,
                        retry_after_ms: response.retry_after_ms,
                    }
                }
                _ => Outcome::Failed(format!(
                    "{collector} answers without acknowledging batch {sequence}"
                )),
            }
        }
        3 | 11 => Outcome::Rejected(said),
        7 | 16 => Outcome::Failed(format!(
            "the collector at {collector} refuses the token ({said}): check `token`"
        )),
        12 => Outcome::Failed(format!("{collector} is no Silhouette collector ({said})")),
        code => Outcome::Failed(format!(
            "the collector at {collector} answers with gRPC status {code}: {said}"
        )),
    }
}

/// The beginning of what a server says, as a part of one line of a log, whoever the server is.
pub fn shown(said: &str) -> String {
    let plain = |character: char| match character.is_control() {
        true => ' ',
        false => character,
    };
    said.chars().take(MOST_SHOWN).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc_web::frame;

    const GRPC: &[u8] = b"application/grpc-web+proto";

    fn judged(status: &str, content_type: &[u8], headers: &[(&str, &str)], body: &[u8]) -> Outcome {
        let answer = Answer {
            status: status.as_bytes(),
            content_type,
            body,
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        outcome("collector:4320", 7, &answer, headers)
    }

    fn acknowledges(sequence: u64, trailers: &str) -> Vec<u8> {
        let response = ExportResponse {
            acknowledged_sequence: sequence,
            retry_after_ms: 250,
            ..ExportResponse::default()
        };
        let mut body = frame(&response.encode_to_vec()).unwrap();
        body.push(0x80);
        body.extend((trailers.len() as u32).to_be_bytes());
        body.extend(trailers.as_bytes());
        body
    }

    fn failed(outcome: Outcome) -> String {
        match outcome {
            Outcome::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_acknowledgement_stands_for_the_batch_or_for_nothing() {
        let taken = Outcome::Acknowledged {
            sequence: 7,
            retry_after_ms: 250,
        };
        let body = acknowledges(7, "grpc-status: 0\r\n");
        assert_eq!(judged("200", GRPC, &[], &body), taken);
        let body = acknowledges(6, "grpc-status: 0\r\n");
        assert!(failed(judged("200", GRPC, &[], &body)).contains("without acknowledging batch 7"));
    }

    #[test]
    fn a_status_counts_in_headers_and_in_trailers() {
        let headers = [("grpc-status", "3"), ("grpc-message", "no%20host")];
        let rejected = Outcome::Rejected("no host".to_owned());
        assert_eq!(judged("200", GRPC, &headers, b""), rejected);
        let body = acknowledges(7, "grpc-status: 11\r\ngrpc-message: no host\r\n");
        assert_eq!(judged("200", GRPC, &[], &body), rejected);
        let headers = [("grpc-status", "16"), ("grpc-message", "who?")];
        assert!(failed(judged("200", GRPC, &headers, b"")).contains("refuses the token (who?)"));
    }

    #[test]
    fn strangers_are_told_and_break_no_line() {
        let why = failed(judged("502", b"text/html", &[], b"<h1>\r\nbad</h1>"));
        assert!(why.contains("HTTP 502: <h1>  bad</h1>"), "{why}");
        let why = failed(judged("200", b"text/html", &[], b"<h1>welcome"));
        assert!(why.contains("is that a Silhouette collector?"), "{why}");
        let long = "x".repeat(10_000);
        assert!(failed(judged("500", b"", &[], long.as_bytes())).len() < 400);
    }
}
