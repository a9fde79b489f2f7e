//! The evidence of one operation as a node keeps it: ready to learn, or at rest as bytes.
//!
//! In: evidence, and whoever wants to read or change it. Out: the same evidence. Ready, every position of a body is a value of its own
//! with pointers to others; written out and compressed, the same takes a fraction of the memory, and most operations of a large
//! estate are called seldom. What is known does not change by resting: it is written as saved models write it. It never decides
//! when to rest.

use crate::bounded::Seen;
use crate::evidence::Evidence;
use crate::observation::Observation;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;

/// Evidence in one of two forms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Ready to learn, or else it rests.
    ready: Option<Box<Evidence>>,
    resting: Resting,
    /// Whether it learnt since [`Kept::rest`] last came by.
    fresh: bool,
}

/// What is asked of evidence without waking it, and the evidence.
#[derive(Clone, Debug, Default)]
struct Resting {
    /// Written out, then compressed as an LZ4 block with its length before it.
    packed: Box<[u8]>,
    calls: u64,
    last_seen: u64,
    charge: u32,
    whole: u32,
}

impl Resting {
    fn new(evidence: &Evidence, bytes: &[u8]) -> Resting {
        Resting {
            // A copy, since an allocator may leave a vector that shrank the room it had.
            packed: lz4_flex::compress_prepend_size(bytes)[..].into(),
            calls: evidence.calls,
            last_seen: evidence.last_seen,
            charge: evidence.charge(),
            whole: evidence.whole(),
        }
    }

    /// As a saved model holds it; nothing for nothing.
    fn bytes(&self) -> Vec<u8> {
        lz4_flex::decompress_size_prepended(&self.packed).unwrap_or_default()
    }

    /// They were written or read once before, so they can be read; nothing is evidence of nothing.
    fn evidence(&self) -> Evidence {
        postcard::from_bytes(&self.bytes()).unwrap_or_default()
    }
}

impl Kept {
    /// Learns one observation; it may charge `whole` at most. Returns whether it was not ready before.
    pub(crate) fn learn(&mut self, o: &Observation<'_>, whole: u32, identities: &mut Seen) -> bool {
        self.fresh = true;
        let rested = self.rests();
        self.ready().learn(o, whole, identities);
        rested
    }

    /// The evidence, to be changed.
    fn ready(&mut self) -> &mut Evidence {
        let resting = &mut self.resting;
        self.ready
            .get_or_insert_with(|| Box::new(std::mem::take(resting).evidence()))
    }

    /// The evidence, to be read.
    pub(crate) fn read(&self) -> Cow<'_, Evidence> {
        match &self.ready {
            Some(evidence) => Cow::Borrowed(evidence),
            None => Cow::Owned(self.resting.evidence()),
        }
    }

    pub(crate) fn merge(&mut self, mut other: Kept) {
        let more = std::mem::take(other.ready());
        self.ready().merge(more);
    }

    /// Fits it into `whole` from now on.
    pub(crate) fn bind(&mut self, whole: u32) {
        if self.ready.is_some() || self.resting.whole != Evidence::most(whole) {
            self.ready().bind(whole);
        }
    }

    /// Lets it rest if it did not learn since the last time.
    pub(crate) fn rest(&mut self) {
        if std::mem::take(&mut self.fresh) {
            return;
        }
        if let Some(evidence) = &self.ready
            && let Ok(bytes) = postcard::to_stdvec(evidence)
        {
            self.resting = Resting::new(evidence, &bytes);
            self.ready = None;
        }
    }

    /// Makes it ready to be read many times.
    pub(crate) fn wake(&mut self) {
        self.ready();
    }

    /// Whether it rests.
    pub(crate) fn rests(&self) -> bool {
        self.ready.is_none()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.ready.as_ref().map_or(self.resting.calls, |e| e.calls)
    }

    pub(crate) fn last_seen(&self) -> u64 {
        self.ready
            .as_ref()
            .map_or(self.resting.last_seen, |e| e.last_seen)
    }

    pub(crate) fn charge(&self) -> u32 {
        self.ready
            .as_ref()
            .map_or(self.resting.charge, |e| e.charge())
    }

    pub(crate) fn heap(&self) -> usize {
        let ready = |e: &Evidence| size_of::<Evidence>() + e.heap();
        self.resting.packed.len() + self.ready.as_deref().map_or(0, ready)
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.ready {
            Some(evidence) => {
                let bytes = postcard::to_stdvec(evidence).map_err(serde::ser::Error::custom)?;
                serializer.serialize_bytes(&bytes)
            }
            None => serializer.serialize_bytes(&self.resting.bytes()),
        }
    }
}

impl<'de> Deserialize<'de> for Kept {
    /// A saved model is read to see that it can be; its operations rest until they are called.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kept, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        let evidence: Evidence = postcard::from_bytes(bytes).map_err(de::Error::custom)?;
        Ok(Kept {
            resting: Resting::new(&evidence, bytes),
            ..Kept::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Body, Message};

    fn learn(kept: &mut Kept, body: &str) {
        let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
        let o = Observation {
            unix_millis: 5,
            duration_micros: Some(7),
            shim: "nginx",
            scheme: "http",
            method: "GET",
            path: "/books",
            query: Some("page=1"),
            request: Message::default(),
            status: 200,
            response: Message {
                headers: &headers,
                body: Body::whole(body.as_bytes()),
            },
            client_certificate: false,
        };
        kept.learn(&o, 1 << 20, &mut Seen::default());
    }

    #[test]
    fn what_rests_is_smaller_and_the_same() {
        let (mut always, mut kept) = (Kept::default(), Kept::default());
        for body in [r#"{"id":1,"name":"a","tags":["x"]}"#, "[]", r#"{"id":2}"#] {
            learn(&mut always, body);
            learn(&mut kept, body);
            kept.rest();
            assert!(!kept.rests(), "it just learnt");
            let ready = kept.heap();
            kept.rest();
            assert!(kept.rests() && kept.heap() * 2 < ready);
            assert_eq!(
                (kept.calls(), kept.last_seen(), kept.charge()),
                (always.calls(), always.last_seen(), always.charge())
            );
            kept.bind(1 << 20);
            assert!(kept.rests(), "that is its bound already");
            let bytes = |kept: &Kept| postcard::to_stdvec(kept).unwrap();
            assert_eq!(bytes(&kept), bytes(&always));
            assert_eq!(kept.read().calls, always.read().calls);
            let saved: Kept = postcard::from_bytes(&bytes(&always)).unwrap();
            assert!(saved.rests() && saved.charge() == always.charge());
        }
        assert!(postcard::from_bytes::<Kept>(&[2, 0xff, 0xff]).is_err());
    }
}
