//! A log server that keeps what HSL brings, byte for byte: where a test must see the wire itself.
//!
//! In: TCP connections or datagrams on a loopback port. Out: the bytes, and the records in them, each verified against the key. Whether
//! a collector understands them is tested with the collector.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::process;

/// The key that records must be signed with, in the form in which the rule is given it.
pub const KEY: (&str, &str) = (
    "bigip-1",
    "silk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
);

/// The running server.
#[derive(Debug)]
pub struct LogPool {
    address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
}

impl LogPool {
    /// TCP, on a free loopback port.
    pub fn start() -> Result<LogPool> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let pool = Self::at(listener.local_addr()?);
        let (bytes, over) = (pool.bytes.clone(), pool.over.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let bytes = bytes.clone();
                std::thread::spawn(move || keep(socket, &bytes));
            }
        });
        Ok(pool)
    }

    /// UDP, on a free loopback port. Datagrams are kept one behind the other.
    pub fn start_udp() -> Result<LogPool> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        let pool = Self::at(socket.local_addr()?);
        let (bytes, over) = (pool.bytes.clone(), pool.over.clone());
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        std::thread::spawn(move || {
            let mut part = vec![0; 1 << 16];
            while !over.load(Ordering::Relaxed) {
                if let Ok((n, _)) = socket.recv_from(&mut part) {
                    let mut all = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                    all.extend_from_slice(part.get(..n).unwrap_or_default());
                }
            }
        });
        Ok(pool)
    }

    fn at(address: SocketAddr) -> LogPool {
        LogPool {
            address,
            bytes: Arc::default(),
            over: Arc::default(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that has come so far.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.clone()
    }

    /// The records in it.
    ///
    /// # Errors
    /// When a line is none, or its signature is wrong.
    pub fn records(&self) -> Result<Vec<Line>> {
        let bytes = self.bytes();
        let whole = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = bytes.get(..whole).unwrap_or_default();
        let lines = lines.split_inclusive(|&byte| byte == b'\n');
        lines.map(Line::read).collect()
    }

    /// Waits for so many records, and returns them all.
    ///
    /// # Errors
    /// After `timeout`, or when one is wrong.
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Result<Vec<Line>> {
        let lines = || self.bytes().iter().filter(|&&byte| byte == b'\n').count();
        process::wait_until(&format!("{count} records"), timeout, || lines() >= count)
            .with_context(|| format!("{} came", lines()))?;
        self.records()
    }

    /// The one record there is.
    pub fn only(&self, timeout: Duration) -> Result<Line> {
        let mut lines = self.wait_for(1, timeout)?;
        ensure!(lines.len() == 1, "{} records instead of one", lines.len());
        lines.pop().context("one")
    }
}

impl Drop for LogPool {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = std::net::TcpStream::connect(self.address);
    }
}

fn keep(mut socket: std::net::TcpStream, bytes: &Mutex<Vec<u8>>) {
    let mut part = [0; 1 << 16];
    while let Ok(n) = socket.read(&mut part) {
        if n == 0 {
            return;
        }
        let mut all = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(part.get(..n).unwrap_or_default());
    }
}

/// A record of these fields, signed, with its newline.
pub fn signed((id, key): (&str, &str), fields: &str) -> Vec<u8> {
    format!("SIL1 {} {id} {} {fields}\n", fields.len(), mac(key, fields)).into_bytes()
}

/// HMAC-SHA-256 in hexadecimal.
fn mac(key: &str, fields: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, fields.as_bytes());
    tag.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// One record, verified.
#[derive(Debug, Clone)]
pub struct Line {
    fields: Vec<String>,
}

impl Line {
    /// Reads a line with its newline.
    ///
    /// # Errors
    /// When its form, its length or its signature is wrong.
    pub fn read(line: &[u8]) -> Result<Line> {
        ensure!(line.is_ascii(), "a record is ASCII");
        ensure!(line.len() <= 256 << 10, "a record of {} bytes", line.len());
        let text = std::str::from_utf8(line)?
            .strip_suffix('\n')
            .context("a newline at its end")?;
        let mut parts = text.splitn(5, ' ');
        let mut part = || parts.next().context("SIL1 length key-id mac fields");
        let (mark, length, id, mac, fields) = (part()?, part()?, part()?, part()?, part()?);
        ensure!(
            (mark, id) == ("SIL1", KEY.0) && length.parse() == Ok(fields.len()),
            "{mark} {length} {id}, {} bytes of fields",
            fields.len()
        );
        let wanted = self::mac(KEY.1, fields);
        ensure!(mac == wanted, "signed {mac}, must be {wanted}");
        let fields: Vec<String> = fields.split(' ').map(str::to_owned).collect();
        ensure!(
            fields.len() == 23 && fields.iter().all(|field| !field.is_empty()),
            "{} fields",
            fields.len()
        );
        Ok(Line { fields })
    }

    /// A field by its number, from 1.
    pub fn field(&self, number: usize) -> &str {
        self.fields.get(number - 1).map_or("", String::as_str)
    }

    /// Boot, TMM, number.
    pub fn number(&self) -> Result<(String, u64, u64)> {
        Ok((
            self.field(1).to_owned(),
            self.field(2).parse()?,
            self.field(3).parse()?,
        ))
    }

    /// A field in base64, decoded; `None` for `-`.
    pub fn decoded(&self, number: usize) -> Result<Option<Vec<u8>>> {
        match self.field(number) {
            "-" => Ok(None),
            text => Ok(Some(STANDARD.decode(text)?)),
        }
    }

    /// The same as text; empty for `-`.
    pub fn text(&self, number: usize) -> Result<String> {
        let bytes = self.decoded(number)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Facts by name.
    pub fn facts(&self) -> Result<BTreeMap<String, String>> {
        let text = self.text(19)?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// The request's head.
    pub fn request_head(&self) -> Result<String> {
        self.text(20)
    }

    /// What was kept of its body.
    pub fn request_body(&self) -> Result<Option<Vec<u8>>> {
        self.decoded(21)
    }

    /// The response's head; empty when there was none.
    pub fn response_head(&self) -> Result<String> {
        self.text(22)
    }

    /// What was kept of its body.
    pub fn response_body(&self) -> Result<Option<Vec<u8>>> {
        self.decoded(23)
    }

    /// Whether a flag is set.
    pub fn flag(&self, letter: char) -> bool {
        self.field(9).contains(letter)
    }
}
