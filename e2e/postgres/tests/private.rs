//! The private PostgreSQL itself: databases know nothing of each other, and nothing is left of it.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use silhouette_test_postgres::Database;

fn sql(database: &Database, statement: &str) -> Result<String, String> {
    let url = database.url();
    let output = Command::new("psql")
        .args(["--no-psqlrc", "-At", "-c", statement, url])
        .output()
        .map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn directory(url: &str) -> PathBuf {
    let (_, directory) = url.split_once("?host=").expect("a socket's directory");
    PathBuf::from(directory)
}

#[test]
fn each_database_is_empty_at_first_and_its_own() {
    let (one, other) = (Database::create().unwrap(), Database::create().unwrap());
    assert_eq!(directory(one.url()), directory(other.url()), "one server");
    sql(&one, "create table things (name text)").unwrap();
    sql(&one, "insert into things values ('b'), ('B'), ('a'), ('Ä')").unwrap();
    let said = sql(&other, "select * from things").unwrap_err();
    assert!(said.contains("does not exist"), "{said}");
    // As people sort, not as bytes do.
    let sorted = sql(
        &one,
        "select string_agg(name, ' ' order by name) from things",
    )
    .unwrap();
    assert_eq!(sorted, "a Ä b B");
}

#[test]
fn a_database_is_gone_with_its_handle_even_while_somebody_is_connected() {
    let stays = Database::create().unwrap();
    let goes = Database::create().unwrap();
    let mut connected = Command::new("psql")
        .args(["--no-psqlrc", "-At", goes.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut typed = connected.stdin.take().unwrap();
    typed.write_all(b"select 'in';\n").unwrap();
    let mut answer = String::new();
    let mut stdout = BufReader::new(connected.stdout.take().unwrap());
    stdout.read_line(&mut answer).unwrap();
    assert_eq!(answer.trim(), "in");
    let name = goes.url().split(['/', '?']).nth(3).unwrap().to_owned();
    drop(goes);
    let left = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(sql(&stays, &left).unwrap(), "0");
    drop(typed);
    connected.wait().unwrap();
}

/// Not a test: what the next one starts and kills.
#[test]
#[ignore = "stays until it is killed"]
fn holds_a_database() {
    let database = Database::create().unwrap();
    println!("holding {}", database.url());
    loop {
        std::thread::park();
    }
}

#[test]
fn nothing_is_left_of_it_when_the_test_program_is_killed() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "holds_a_database", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(holder.stdout.take().unwrap());
    let url = stdout
        .lines()
        .find_map(|line| Some(line.unwrap().split_once("holding ")?.1.to_owned()))
        .expect("the holder says its URL");
    let directory = directory(&url);
    let text = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    let server = Path::new("/proc").join(text.lines().next().unwrap());
    assert!(server.exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let begin = Instant::now();
    while server.exists() || directory.exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{} or {} is left",
            server.display(),
            directory.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
