//! `learn` on recordings of one host, small and large, on one core and on all of them.
//!
//!     cargo bench -p silhouette-collector --bench recordings [-- --from FILE.har --sizes 100,1000 --rounds N]
//!
//! The entries of a recording (by default a browser's, of a small shop) are repeated with other times and other UUIDs until
//! the file has so many megabytes; the release program learns it, in turns on one core and on all. Prints a Markdown table:
//! medians, with the processor time and the peak memory by the kernel's accounting. The files are deleted afterwards.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use silhouette_collector::har::{Item, Reader};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/har/chrome.har");

/// Clock ticks in a second as `/proc` counts them, on every Linux there is.
const TICKS: f64 = 100.0;

fn main() {
    let (mut from, mut sizes, mut rounds) = (PathBuf::from(RECORDING), vec![100, 1000], 3);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} wants a value"));
        match arg.as_str() {
            "--from" => from = value().into(),
            "--sizes" => sizes = value().split(',').map(|size| number(&arg, size)).collect(),
            "--rounds" => rounds = number(&arg, &value()),
            _ => {} // cargo's own, such as --bench
        }
    }
    let entries = entries(&from);
    let dir = tempfile::tempdir().expect("a directory");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("| recording | entries | cores | MB/s | entries/s | CPU, s | peak memory, MiB |");
    println!("|---|---|---|---|---|---|---|");
    for size in sizes {
        let path = dir.path().join(format!("{size}.har"));
        let count = repeat(&entries, size * 1_000_000, &path).expect("room for the recording");
        let (mut one, mut all) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            one.push(learn(&path, Some("0")));
            all.push(learn(&path, None));
        }
        for (cores, runs) in [(1, &mut one), (cores, &mut all)] {
            runs.sort_by_key(|run| run.took);
            let run = &runs[runs.len() / 2];
            let seconds = run.took.as_secs_f64();
            let peak = runs.iter().map(|run| run.peak).max().unwrap_or(0);
            println!(
                "| {size} MB | {count} | {cores} | {:.0} | {:.0} | {:.2} | {} |",
                size as f64 / seconds,
                count as f64 / seconds,
                run.processor,
                peak >> 10
            );
        }
        let median = |runs: &[Run]| runs[runs.len() / 2].took.as_secs_f64();
        println!(
            "| ratio |  | {cores} over 1 | {:.2} |  |  |  |",
            median(&one) / median(&all)
        );
        std::fs::remove_file(&path).expect("it is ours");
    }
}

fn number(name: &str, text: &str) -> usize {
    text.parse()
        .unwrap_or_else(|_| panic!("{name} wants a number, not {text:?}"))
}

/// One run of the program.
struct Run {
    took: Duration,
    /// Seconds of processor time of all threads.
    processor: f64,
    /// KiB.
    peak: u64,
}

fn learn(recording: &Path, on: Option<&str>) -> Run {
    let program = env!("CARGO_BIN_EXE_silhouette-collector");
    let mut command = match on {
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores, program]);
            command
        }
        None => Command::new(program),
    };
    let before = waited_for();
    let begin = Instant::now();
    let mut child = command
        .arg("learn")
        .arg(recording)
        .arg("--quiet")
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut peak = 0;
    let status = loop {
        peak = peak.max(high_water(child.id()));
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "learning failed: {status}");
    Run {
        took: begin.elapsed(),
        processor: waited_for() - before,
        peak,
    }
}

/// The most memory a process had, KiB (proc_pid_status(5), VmHWM).
fn high_water(process: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{process}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

/// Seconds of processor time of the children that ended (proc_pid_stat(5), cutime and cstime).
fn waited_for() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold anything; what follows its closing parenthesis begins with the third field.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(13).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS
}

fn entries(path: &Path) -> Vec<String> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = Reader::new(file);
    let mut entries = Vec::new();
    while let Some(item) = reader.next_entry().expect("a whole recording") {
        if let Item::Entry(entry) = item {
            entries.push(String::from_utf8_lossy(entry.json).into_owned());
        }
    }
    assert!(!entries.is_empty(), "{} has no entries", path.display());
    entries
}

/// Writes a recording of at least so many bytes; how many entries it has.
fn repeat(entries: &[String], size: usize, path: &Path) -> std::io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let head = r#"{"log":{"version":"1.2","creator":{"name":"bench","version":"1"},"entries":["#;
    out.write_all(head.as_bytes())?;
    let (mut written, mut count) = (head.len(), 0u64);
    while written < size {
        for (at, entry) in entries.iter().enumerate() {
            let entry = another(entry, count / entries.len() as u64, at as u64);
            if count > 0 {
                out.write_all(b",\n")?;
            }
            out.write_all(entry.as_bytes())?;
            written += entry.len() + 2;
            count += 1;
        }
    }
    out.write_all(b"]}}\n")?;
    out.flush()?;
    Ok(count)
}

/// The entry at another time, with other UUIDs: the same ones in all entries of a round, since calls share them.
fn another(entry: &str, round: u64, at: u64) -> String {
    const TIME: &str = "\"startedDateTime\":";
    let mut out = String::with_capacity(entry.len());
    let mut rest = entry;
    if let Some(begin) = rest.find(TIME) {
        let value = begin + TIME.len();
        let quotes = rest[value..].match_indices('"').map(|(at, _)| value + at);
        if let [open, close] = quotes.take(2).collect::<Vec<_>>()[..] {
            let millis = round * 1000 + at;
            let time = jiff::Timestamp::from_millisecond(1_772_438_400_000 + millis as i64)
                .expect("within the years there are");
            out.push_str(&rest[..=open]);
            out.push_str(&time.to_string());
            rest = &rest[close..];
        }
    }
    while let Some(begin) = uuid(rest) {
        // The first and last digits make the difference; version and variant stay.
        let number = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        out.push_str(&rest[..begin]);
        out.push_str(&format!("{:08x}", number >> 32));
        out.push_str(&rest[begin + 8..begin + 24]);
        let own = u64::from_str_radix(&rest[begin + 24..begin + 36], 16).unwrap_or(0);
        out.push_str(&format!("{:012x}", (own ^ number) & 0xffff_ffff_ffff));
        rest = &rest[begin + 36..];
    }
    out.push_str(rest);
    out
}

/// Where the next UUID begins.
fn uuid(text: &str) -> Option<usize> {
    let is = |window: &[u8]| {
        window.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    text.as_bytes().windows(36).position(is)
}
