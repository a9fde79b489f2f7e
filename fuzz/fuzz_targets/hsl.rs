//! Records of BIG-IPs: any bytes in any chunks are lines, and the chunks make no difference; any fields, properly signed, become a batch
//! that the rest of the collector can open, or are refused; a record behind garbage is found.

#![no_main]

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use silhouette_capture::Policy;
use silhouette_collector::envelope::{Envelope, inspect};
use silhouette_collector::hsl::exchange::{Redaction, Translator};
use silhouette_collector::hsl::keys::Keyring;
use silhouette_collector::hsl::reader::{Line, MAX_LINE, Reader};
use silhouette_collector::hsl::record::{Records, signed};
use silhouette_collector::hsl::refused::Refusal;

const NOW: u64 = 1_800_000_000;
const KEY: (&str, &str) = ("bigip-1", "silk_fuzz");

static KEYS: LazyLock<Keyring> = LazyLock::new(|| Keyring::new([KEY]).unwrap());
static POLICY: LazyLock<Arc<Policy>> =
    LazyLock::new(|| Arc::new(Redaction::default().policy().unwrap()));

/// A record whose parts are anything, and one of whose fields may be anything.
#[derive(Debug, Arbitrary)]
struct Sent<'a> {
    tmm: u16,
    sequence: u32,
    flags: u8,
    sizes: (Option<u32>, Option<u32>),
    at_least: bool,
    times: (Option<u32>, Option<u32>),
    facts: &'a [u8],
    request: &'a [u8],
    request_body: Option<&'a [u8]>,
    response: Option<&'a [u8]>,
    response_body: Option<&'a [u8]>,
    mutated: Option<(u8, &'a [u8])>,
}

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    chunk: u16,
    garbage: &'a [u8],
    sent: Sent<'a>,
}

impl Sent<'_> {
    fn fields(&self) -> Vec<u8> {
        let number = |number: Option<u32>| number.map_or("-".into(), |number| number.to_string());
        let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |bytes| STANDARD.encode(bytes));
        let more = if self.at_least { "+" } else { "" };
        let size = |size: Option<u32>| size.map_or("-".into(), |size| format!("{size}{more}"));
        let flags: String = "suqphr"
            .chars()
            .enumerate()
            .filter(|(bit, _)| self.flags >> bit & 1 == 1)
            .map(|(_, flag)| flag)
            .collect();
        let mut fields: Vec<Vec<u8>> = [
            "65f0000000c0ffee".to_owned(),
            self.tmm.to_string(),
            self.sequence.to_string(),
            "refused=3".into(),
            "-".into(),
            NOW.to_string(),
            number(self.times.0),
            number(self.times.1),
            if flags.is_empty() { "-".into() } else { flags },
            "10.0.0.1%1".into(),
            "1".into(),
            "-".into(),
            "-".into(),
            "2001:db8::1".into(),
            "443".into(),
            "1.1".into(),
            size(self.sizes.0),
            size(self.sizes.1),
            text(Some(self.facts).filter(|facts| !facts.is_empty())),
            text(Some(self.request)),
            text(self.request_body),
            text(self.response),
            text(self.response_body),
        ]
        .map(String::into_bytes)
        .into();
        if let Some((at, value)) = self.mutated {
            let at = usize::from(at) % fields.len();
            fields[at] = value.to_vec();
        }
        fields.join(&b' ')
    }
}

fn lines(bytes: &[u8], chunk: usize) -> Vec<Option<Vec<u8>>> {
    let mut reader = Reader::default();
    let mut lines = Vec::new();
    for chunk in bytes.chunks(chunk.max(1)) {
        reader.space().extend_from_slice(chunk);
        while let Some(line) = reader.next_line() {
            lines.push(match line {
                Line::Whole(line) => {
                    assert!(line.len() < MAX_LINE && !line.contains(&b'\n'));
                    Some(line.to_vec())
                }
                Line::TooLong(_) => None,
            });
        }
    }
    lines.extend(reader.rest().map(|rest| Some(rest.to_vec())));
    lines
}

/// How many records of a line were signed.
fn take(line: &[u8], translator: &mut Translator) -> usize {
    let (mut records, mut signed, mut steps) = (Records::of(line), 0, 0);
    while let Some(next) = records.next(&KEYS) {
        steps += 1;
        assert!(steps <= line.len() + 1, "it ends");
        let refusal = match next.and_then(|record| translator.translate(&record, NOW)) {
            Ok(batch) => {
                let envelope = Envelope::open(&batch.payload).expect("a batch");
                assert_eq!(envelope.instance, batch.sender.instance);
                assert_eq!((envelope.sequence, envelope.exchanges.len()), (batch.sequence, 1));
                let _ = inspect(&envelope.exchanges[0]);
                signed += 1;
                continue;
            }
            Err(refusal) => refusal,
        };
        assert!(refusal.to_string().len() < 300);
        let of_a_signed_one = matches!(
            refusal,
            Refusal::Fields { .. } | Refusal::Head { .. } | Refusal::Clock { .. }
        );
        signed += usize::from(of_a_signed_one);
    }
    signed
}

fuzz_target!(|input: Input<'_>| {
    let chunk = usize::from(input.chunk);
    let whole = lines(input.garbage, usize::MAX);
    assert_eq!(whole, lines(input.garbage, chunk));
    let mut translator = Translator::new(POLICY.clone());
    for line in whole.iter().flatten() {
        assert_eq!(take(line, &mut translator), 0, "nobody without the key is taken");
    }

    let fields = input.sent.fields();
    // A value with an LF in it ends the line; the framing is checked above.
    let record = signed(KEY.0, KEY.1, &fields);
    let line = &record[..record.len() - 1];
    assert_eq!(take(line, &mut translator), 1, "what is signed is read, or refused for what it says");
    // Behind any garbage of one line, unless that is made of records itself.
    let glued = [input.garbage, line].concat();
    let lures = input.garbage.windows(5).filter(|at| *at == b"SIL1 ").count();
    assert!(lures > 3 || take(&glued, &mut translator) == 1, "it is found");
});
