//! The catalog as a service on a machine: first start, power cuts, commands beside it, moving to another database.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use silhouette_e2e::catalog::OWNER;
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::{Catalog, artifacts, curl, process};
use silhouette_test_postgres::Database;

/// A command of the catalog on another database; what it prints.
fn on(database: &Database, args: &[&str]) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(artifacts::catalog()?);
    command.args(args).args(["--database-url", database.url()]);
    let output = command
        .arg("--data-dir")
        .arg(dir.path())
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{args:?}: {said}{errors}");
    Ok(said)
}

fn lives(mut catalog: Catalog, elsewhere: &Database) -> Result<()> {
    curl::get_ok(&format!("{}/readyz", catalog.url()))?;
    catalog.run(&["user", "add", "ada@example.com", "--role", "administrator"])?;
    let users = catalog.run(&["user", "list"])?;
    assert!(
        users.contains(OWNER) && users.contains("ada@example.com"),
        "{users}"
    );
    assert!(catalog.make_key("nobody@example.com").is_err());

    // Without warning, and again: the same users, the same port, no second first start.
    for _ in 0..2 {
        catalog.kill_9();
        catalog.restart()?;
        curl::get_ok(&format!("{}/readyz", catalog.url()))?;
        assert_eq!(catalog.run(&["user", "list"])?, users);
    }

    // While it serves; then into an empty database of the other kind, once.
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("backup.gz");
    let file = file.to_str().context("a path in UTF-8")?;
    catalog.run(&["backup", file])?;
    on(elsewhere, &["restore", file])?;
    assert_eq!(on(elsewhere, &["user", "list"])?, users);
    let again = on(elsewhere, &["restore", file]).expect_err("it is not empty any more");
    assert!(again.to_string().contains("empty"), "{again:#}");

    catalog.terminate()
}

#[test]
fn it_lives_through_power_cuts_and_moves_on_sqlite() -> Result<()> {
    lives(Catalog::start(&[])?, &Database::create()?)
}

#[test]
fn it_lives_through_power_cuts_and_moves_on_postgresql() -> Result<()> {
    lives(Catalog::start_on_postgres(&[])?, &Database::create()?)
}

#[test]
fn it_ends_when_it_is_asked_to_with_nothing_left_behind() -> Result<()> {
    let mut catalog = Catalog::start(&[])?;
    let pid = catalog.pid();
    catalog.terminate()?;
    process::wait_until("it is gone", PATIENCE, || !process::alive(pid))?;
    // What SQLite keeps beside its file is put into it by an orderly end.
    let left: Vec<_> = std::fs::read_dir(catalog.data_dir())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    assert_eq!(left, ["catalog.db"]);
    Ok(())
}
