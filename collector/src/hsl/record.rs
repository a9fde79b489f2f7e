//! One line as records: framing, signature, fields.
//!
//! In: a line and the keys. Out: each [`Record`] in it, signed and with every field checked, or a [`Refusal`] that says what is
//! wrong, without a word of what was sent but the key's name.
//!
//! A line is `SIL1 length key-id mac fields`. A connection that was cut leaves the beginning of a record before a whole one, so a record
//! is looked for at each `SIL1 ` of a damaged line; a damaged stretch is refused once. Signatures of one line are computed over no more
//! than [`EFFORT`] times its length together.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use memchr::{memchr, memmem};
use ring::hmac;

use super::keys::{Found, KeyId, Keyring};
use super::refused::Refusal;

/// What every record begins with.
pub const MAGIC: &[u8] = b"SIL1 ";
/// Bytes of a head, before base64.
pub const MAX_HEAD: usize = 16 << 10;
/// Bytes of a body, before base64.
pub const MAX_BODY: usize = 64 << 10;
/// Bytes of what is known of the BIG-IP, before base64.
pub const MAX_FACTS: usize = 4 << 10;

/// Bytes that are signed together, as a multiple of the line's: records that run together need once its length.
const EFFORT: usize = 4;
/// Reasons in one record's totals.
const MAX_COUNTS: usize = 32;

/// The names of the fields, for people who look for what is wrong.
const FIELDS: [&str; 23] = [
    "boot",
    "tmm",
    "seq",
    "dropped",
    "skipped",
    "t0",
    "ms_head",
    "ms_total",
    "flags",
    "client-ip",
    "client-port",
    "vip-ip",
    "vip-port",
    "server-ip",
    "server-port",
    "http-version",
    "request-size",
    "response-size",
    "facts64",
    "request-head64",
    "request-body64",
    "response-head64",
    "response-body64",
];

/// What a record says in one letter each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// `s`: the client spoke TLS.
    pub tls: bool,
    /// `u`: the client left before the end.
    pub unfinished: bool,
    /// `q`: only the beginning of the request's body is here.
    pub request_body_cut: bool,
    /// `p`: only the beginning of the response's body is here.
    pub response_body_cut: bool,
    /// `h`: the request's head was cut.
    pub request_head_cut: bool,
    /// `r`: the response's head was cut.
    pub response_head_cut: bool,
}

/// Totals by reason, as `refused=3,fault=1`; checked.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts<'a>(&'a [u8]);

impl<'a> Counts<'a> {
    /// Reason and count.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, u64)> + use<'a> {
        let counts = self.0.split(|byte| *byte == b',');
        counts.filter_map(pair)
    }
}

impl fmt::Debug for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn pair(text: &[u8]) -> Option<(&str, u64)> {
    let at = memchr(b'=', text)?;
    let (name, count) = (text.get(..at)?, text.get(at + 1..)?);
    let fine = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    if name.is_empty() || name.len() > 48 || !name.iter().all(fine) {
        return None;
    }
    Some((std::str::from_utf8(name).ok()?, decimal(count)?))
}

/// One signed record; what stands in base64 is not undone yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Whose.
    pub key: KeyId,
    /// 16 hexadecimal digits: when the rule was loaded, and a random number.
    pub boot: [u8; 16],
    /// Number of the TMM.
    pub tmm: u32,
    /// Of this boot and TMM, from 1.
    pub sequence: u64,
    /// Totals of what the rule captured and lost.
    pub dropped: Counts<'a>,
    /// Totals of what the rule was told to leave out.
    pub skipped: Counts<'a>,
    /// Unix seconds at the request's head.
    pub began: u64,
    /// From there to the response's head, milliseconds.
    pub head_millis: Option<u64>,
    /// From there to the end, milliseconds; `None`: not seen.
    pub total_millis: Option<u64>,
    /// In one letter each.
    pub flags: Flags,
    /// The client.
    pub client: Option<SocketAddr>,
    /// The virtual server.
    pub vip: Option<SocketAddr>,
    /// The pool member.
    pub server: Option<SocketAddr>,
    /// `1.1`, …; empty: unknown.
    pub http_version: &'a str,
    /// Bytes that passed, or at least passed, if known.
    pub request_size: Option<u64>,
    /// Bytes that passed, or at least passed, if known.
    pub response_size: Option<u64>,
    /// Base64.
    pub facts: Option<&'a [u8]>,
    /// Base64.
    pub request_head: &'a [u8],
    /// Base64.
    pub request_body: Option<&'a [u8]>,
    /// Base64; `None`: there was no answer.
    pub response_head: Option<&'a [u8]>,
    /// Base64.
    pub response_body: Option<&'a [u8]>,
}

/// A record as it is framed.
struct Frame<'a> {
    key: KeyId,
    mac: [u8; 32],
    announced: usize,
    /// Up to the end of the line.
    there: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What begins here.
    fn read(bytes: &'a [u8]) -> Result<Frame<'a>, Refusal> {
        let refused = |what| Err(Refusal::NotARecord(what));
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return refused("the line does not begin with `SIL1 `");
        };
        let Some((announced, rest)) = word(rest, 6).and_then(|(word, rest)| {
            let announced = usize::try_from(decimal(word)?).ok()?;
            Some((announced, rest))
        }) else {
            return refused("no length follows `SIL1 `");
        };
        let Some((key, rest)) = word(rest, super::keys::MAX_ID)
            .and_then(|(word, rest)| Some((KeyId::new(word)?, rest)))
        else {
            return refused("no key id follows the length");
        };
        let Some((mac, there)) = word(rest, 64).and_then(|(word, rest)| Some((hex(word)?, rest)))
        else {
            return refused("no MAC of 64 hexadecimal digits follows the key id");
        };
        Ok(Frame {
            key,
            mac,
            announced,
            there,
        })
    }
}

/// The records of one line.
#[derive(Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    /// What was found damaged and not told yet.
    damage: Option<Refusal>,
    /// What follows the damage.
    next: Option<Result<Record<'a>, Refusal>>,
    /// Bytes that may still be signed.
    effort: usize,
    /// Nothing is looked for any more.
    over: bool,
}

impl<'a> Records<'a> {
    /// Of a line without its LF.
    pub fn of(line: &'a [u8]) -> Records<'a> {
        Records {
            rest: line,
            damage: None,
            next: None,
            effort: line.len() * EFFORT,
            over: false,
        }
    }

    /// The next record, or what is wrong with what stands where one should.
    pub fn next(&mut self, keys: &Keyring) -> Option<Result<Record<'a>, Refusal>> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        while !self.rest.is_empty() && !self.over {
            match self.attempt(keys) {
                Ok(fields) => {
                    let (key, text) = fields;
                    let record = Record::read(key, text);
                    return Some(match self.damage.take() {
                        Some(damage) => {
                            self.next = Some(record);
                            Err(damage)
                        }
                        None => record,
                    });
                }
                Err(refusal) => {
                    // The first thing wrong is what is wrong; the rest of a damaged stretch says nothing new.
                    self.damage.get_or_insert(refusal);
                    let onwards = self.rest.get(1..).unwrap_or_default();
                    let at = memmem::find(onwards, MAGIC);
                    self.rest = at.and_then(|at| onwards.get(at..)).unwrap_or_default();
                }
            }
        }
        self.damage.take().map(Err)
    }

    /// What stands here, if it is signed; goes on behind it.
    fn attempt(&mut self, keys: &Keyring) -> Result<(KeyId, &'a [u8]), Refusal> {
        let frame = Frame::read(self.rest)?;
        let there = frame.there.len();
        let (key, announced) = (frame.key, frame.announced);
        let Some((fields, behind)) = frame.there.split_at_checked(announced) else {
            return Err(Refusal::Length { announced, there });
        };
        let secret = match keys.find(&key) {
            Found::Valid(secret) => secret,
            Found::Revoked => return Err(Refusal::RevokedKey(key)),
            Found::Unknown => return Err(Refusal::UnknownKey(key)),
        };
        let Some(effort) = self.effort.checked_sub(announced) else {
            self.over = true;
            return Err(Refusal::NotARecord("too many records run together"));
        };
        self.effort = effort;
        if hmac::verify(secret, fields, &frame.mac).is_err() {
            return Err(if behind.is_empty() {
                Refusal::Forged(key)
            } else {
                Refusal::Length { announced, there }
            });
        }
        self.rest = behind;
        Ok((key, fields))
    }
}

/// Splits the fields, and knows which one is looked at.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
    at: usize,
}

impl<'a> Fields<'a> {
    fn wrong(&self, what: &'static str) -> Refusal {
        let field = FIELDS.get(self.at - 1).copied().unwrap_or("(end)");
        Refusal::Fields { field, what }
    }

    fn next(&mut self) -> Result<&'a [u8], Refusal> {
        self.at += 1;
        let Some(rest) = self.rest else {
            return Err(self.wrong("is missing"));
        };
        let field = match memchr(b' ', rest) {
            Some(at) => {
                let (field, rest) = rest.split_at(at);
                self.rest = rest.get(1..);
                field
            }
            None => {
                self.rest = None;
                rest
            }
        };
        if field.is_empty() {
            return Err(self.wrong("is empty; want `-` for what is not known"));
        }
        Ok(field)
    }

    /// `None` for `-`.
    fn known(&mut self) -> Result<Option<&'a [u8]>, Refusal> {
        self.next().map(|field| (field != b"-").then_some(field))
    }

    fn number(&mut self) -> Result<Option<u64>, Refusal> {
        let Some(field) = self.known()? else {
            return Ok(None);
        };
        let number = decimal(field).ok_or_else(|| self.wrong("is no decimal number"))?;
        Ok(Some(number))
    }

    /// Bytes that passed; `12+`: at least so many.
    fn size(&mut self) -> Result<Option<u64>, Refusal> {
        let Some(field) = self.known()? else {
            return Ok(None);
        };
        let digits = field.strip_suffix(b"+").unwrap_or(field);
        let size = decimal(digits).ok_or_else(|| self.wrong("is no size"))?;
        Ok(Some(size))
    }

    fn needed(&mut self) -> Result<u64, Refusal> {
        let number = self.number()?;
        number.ok_or_else(|| self.wrong("is not there and has to be"))
    }

    fn counts(&mut self) -> Result<Counts<'a>, Refusal> {
        let Some(field) = self.known()? else {
            return Ok(Counts::default());
        };
        let mut counts = field.split(|byte| *byte == b',');
        if counts
            .by_ref()
            .take(MAX_COUNTS)
            .any(|text| pair(text).is_none())
        {
            return Err(self.wrong("is no list such as `refused=3,fault=1`"));
        }
        if counts.next().is_some() {
            return Err(self.wrong("has more than 32 reasons"));
        }
        Ok(Counts(field))
    }

    fn flags(&mut self) -> Result<Flags, Refusal> {
        let mut flags = Flags::default();
        for letter in self.known()?.unwrap_or_default() {
            let flag = match letter {
                b's' => &mut flags.tls,
                b'u' => &mut flags.unfinished,
                b'q' => &mut flags.request_body_cut,
                b'p' => &mut flags.response_body_cut,
                b'h' => &mut flags.request_head_cut,
                b'r' => &mut flags.response_head_cut,
                _ => return Err(self.wrong("has a letter that is none of `suqphr`")),
            };
            *flag = true;
        }
        Ok(flags)
    }

    /// Address and port; a route domain (`%1`) is no part of it.
    fn address(&mut self) -> Result<Option<SocketAddr>, Refusal> {
        let ip = match self.known()? {
            None => None,
            Some(field) => {
                let end = memchr(b'%', field).unwrap_or(field.len());
                let ip = field
                    .get(..end)
                    .and_then(|ip| std::str::from_utf8(ip).ok())
                    .and_then(|ip| ip.parse::<IpAddr>().ok());
                Some(ip.ok_or_else(|| self.wrong("is no IP address"))?)
            }
        };
        let port = self.number()?.unwrap_or(0);
        let port = u16::try_from(port).map_err(|_| self.wrong("is no port"))?;
        Ok(ip.map(|ip| SocketAddr::new(ip, port)))
    }

    fn http_version(&mut self) -> Result<&'a str, Refusal> {
        Ok(match self.known()?.unwrap_or_default() {
            b"" => "",
            b"0.9" => "0.9",
            b"1.0" => "1.0",
            b"1.1" => "1.1",
            b"2" | b"2.0" => "2",
            b"3" | b"3.0" => "3",
            _ => return Err(self.wrong("is none of 1.0, 1.1 and 2")),
        })
    }

    /// Base64 of at most so many bytes.
    fn base64(&mut self, most: usize, what: &'static str) -> Result<Option<&'a [u8]>, Refusal> {
        let field = self.known()?;
        if field.is_some_and(|field| field.len() > most.div_ceil(3) * 4) {
            return Err(self.wrong(what));
        }
        Ok(field)
    }
}

impl<'a> Record<'a> {
    /// From fields whose signature was found good.
    ///
    /// # Errors
    /// [`Refusal::Fields`].
    pub fn read(key: KeyId, fields: &'a [u8]) -> Result<Record<'a>, Refusal> {
        const LONG_HEAD: &str = "has more than 16384 bytes";
        const LONG_BODY: &str = "has more than 65536 bytes";
        let mut fields = Fields {
            rest: Some(fields),
            at: 0,
        };
        let boot = fields.next()?;
        let boot = <[u8; 16]>::try_from(boot)
            .ok()
            .filter(|boot| boot.iter().all(u8::is_ascii_hexdigit))
            .ok_or_else(|| fields.wrong("has not 16 hexadecimal digits"))?;
        let tmm = fields.needed()?;
        let tmm = u32::try_from(tmm).map_err(|_| fields.wrong("is no number of a TMM"))?;
        let sequence = fields.needed()?;
        // Far from where adding overflows.
        if sequence == 0 || sequence > u64::MAX >> 1 {
            return Err(fields.wrong("is not counted from 1"));
        }
        let record = Record {
            key,
            boot,
            tmm,
            sequence,
            dropped: fields.counts()?,
            skipped: fields.counts()?,
            began: fields.needed()?,
            head_millis: fields.number()?,
            total_millis: fields.number()?,
            flags: fields.flags()?,
            client: fields.address()?,
            vip: fields.address()?,
            server: fields.address()?,
            http_version: fields.http_version()?,
            request_size: fields.size()?,
            response_size: fields.size()?,
            facts: fields.base64(MAX_FACTS, "has more than 4096 bytes")?,
            request_head: fields
                .base64(MAX_HEAD, LONG_HEAD)?
                .ok_or_else(|| fields.wrong("is not there and has to be"))?,
            request_body: fields.base64(MAX_BODY, LONG_BODY)?,
            response_head: fields.base64(MAX_HEAD, LONG_HEAD)?,
            response_body: fields.base64(MAX_BODY, LONG_BODY)?,
        };
        if fields.rest.is_some() {
            return Err(Refusal::Fields {
                field: "(end)",
                what: "does not follow `response-body64`: there are more than 23",
            });
        }
        Ok(record)
    }

    /// Unix seconds at which the rule was loaded.
    pub fn booted(&self) -> u64 {
        std::str::from_utf8(&self.boot[..8])
            .ok()
            .and_then(|seconds| u64::from_str_radix(seconds, 16).ok())
            .unwrap_or(0)
    }
}

/// A line with its LF, signed as the rule signs it: for tests, fuzzing and measuring.
#[doc(hidden)]
pub fn signed(key: &str, secret: &str, fields: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut line = Vec::with_capacity(fields.len() + 120);
    // Writing to a Vec cannot fail.
    let _ = write!(line, "SIL1 {} {key} ", fields.len());
    for byte in hmac::sign(&secret, fields).as_ref() {
        let _ = write!(line, "{byte:02x}");
    }
    line.push(b' ');
    line.extend_from_slice(fields);
    line.push(b'\n');
    line
}

/// Up to the next space, which has to come within `most` bytes; and what follows it.
fn word(bytes: &[u8], most: usize) -> Option<(&[u8], &[u8])> {
    let at = memchr(b' ', bytes.get(..=most).unwrap_or(bytes))?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// A number without sign; at most 19 digits.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

/// 32 bytes from 64 digits.
fn hex(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
