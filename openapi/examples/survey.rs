//! Reads every description below a directory, compares each with itself, and prints figures: a check on what people really
//! publish. `cargo run --release --example survey -- DIRECTORY`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use silhouette_openapi::{Description, diff, drift};

fn main() {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("usage: survey DIRECTORY");
        std::process::exit(2);
    };
    let mut files = Vec::new();
    find(Path::new(&directory), &mut files);
    files.sort();
    let (mut read, mut operations, mut problems, mut bytes) = (0, 0, 0, 0);
    let (mut reading, mut comparing) = (Duration::ZERO, Duration::ZERO);
    let mut slowest = (Duration::ZERO, PathBuf::new());
    let (mut unequal, mut adrift) = (0, 0);
    let mut messages = std::collections::BTreeMap::<String, usize>::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(file) else {
            eprintln!("{}: not readable", file.display());
            continue;
        };
        bytes += text.len();
        let begin = Instant::now();
        let description = Description::read(&text);
        let time = begin.elapsed();
        reading += time;
        if time > slowest.0 {
            slowest = (time, file.clone());
        }
        let description = match description {
            Ok(description) => description,
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                continue;
            }
        };
        read += 1;
        operations += description.operations().len();
        problems += description.problems().len() + description.more_problems();
        for problem in description.problems() {
            let kind: String = problem
                .message
                .chars()
                .filter(|c| !c.is_numeric())
                .take(24)
                .collect();
            *messages.entry(kind).or_default() += 1;
        }
        let begin = Instant::now();
        if let Some(finding) = diff(&description, &description).findings.first() {
            unequal += 1;
            eprintln!("{}: differs from itself: {finding:?}", file.display());
        }
        let with_itself = drift(&description, &description);
        for finding in &with_itself.findings {
            if finding.rule.id() != "zombie-operation" && finding.rule.id() != "zombie-parameter" {
                adrift += 1;
                if adrift < 20 {
                    eprintln!("{}: drifts from itself: {finding:?}", file.display());
                }
            }
        }
        let time = begin.elapsed();
        if time > Duration::from_millis(700) {
            eprintln!("{}: compared with itself in {time:.1?}", file.display());
        }
        comparing += time;
    }
    println!(
        "{read} of {} read, {} MB, {operations} operations, {problems} problems",
        files.len(),
        bytes / 1_000_000
    );
    println!(
        "reading {reading:.1?}, slowest {:.1?} {}",
        slowest.0,
        slowest.1.display()
    );
    println!("comparing with itself {comparing:.1?}; {unequal} differ, {adrift} findings of drift");
    let mut messages: Vec<_> = messages.into_iter().collect();
    messages.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (message, count) in messages.iter().take(30) {
        println!("{count:8}  {message}");
    }
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, files);
        } else if path
            .extension()
            .is_some_and(|e| e == "json" || e == "yaml" || e == "yml")
        {
            files.push(path);
        }
    }
}
