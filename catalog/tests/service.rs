//! The program as a whole: first start, health, commands beside it, backup and restore, ending.

mod program;

use program::{Catalog, run};

fn get(url: &str, path: &str) -> (u16, String) {
    get_with(url, path, &[])
}

fn get_with(url: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut request = reqwest::Client::new().get(format!("{url}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

#[test]
fn the_first_start_says_how_to_sign_in_and_the_second_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::start(dir.path(), &[]);
    let said = catalog.line();
    assert!(
        said.contains(&format!(
            "sign in at {}/ as owner@localhost with the password ",
            catalog.url
        )),
        "{said}"
    );
    let password = said.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(get(&catalog.url, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&catalog.url, "/readyz"), (200, "ready\n".to_owned()));
    let (status, metrics) = get(&catalog.url, "/metrics");
    assert_eq!(status, 200);
    assert!(
        metrics.contains("silhouette_catalog_requests_total{status=\"2xx\"}"),
        "{metrics}"
    );
    let through_proxy = get_with(
        &catalog.url,
        "/metrics",
        &[("X-Forwarded-For", "203.0.113.7")],
    );
    assert_eq!(through_proxy.0, 403);
    assert!(!catalog.log().contains(&password), "a password in the log");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(dir.path().join("data"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(catalog.stop());

    let mut again = Catalog::start(dir.path(), &[]);
    assert_eq!(get(&again.url, "/healthz").0, 200);
    let pid = again.pid();
    let _ = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert_eq!(again.line(), "", "nothing but the address");
}

#[test]
fn a_password_from_a_file_is_not_printed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    let start = |password: &str| {
        std::fs::write(&file, password).unwrap();
        let args = [
            "--owner-email",
            "Ada@Example.com",
            "--owner-password-file",
            file.to_str().unwrap(),
        ];
        Catalog::try_start(dir.path(), &args)
    };
    let Err(log) = start("short\n") else {
        panic!("it took a short password")
    };
    assert!(
        log.contains("password") && log.contains("12 to 256"),
        "{log}"
    );
    let mut catalog = start("tram orchid gravel nine\n").unwrap_or_else(|log| panic!("{log}"));
    let said = catalog.line();
    assert!(
        said.ends_with("as ada@example.com with the password you gave"),
        "{said}"
    );
}

#[test]
fn commands_work_beside_the_service_and_a_backup_is_a_catalog_again() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start(dir.path(), &[]);
    let data = dir.path().join("data");
    let (fine, password, _) = run(
        &data,
        &["user", "add", "ada@example.com", "--role", "administrator"],
    );
    assert!(fine && password.trim().len() == 43, "{password}");
    let (fine, _, said) = run(&data, &["user", "add", "ada@example.com"]);
    assert!(
        !fine && said.contains("is a user of this organisation already"),
        "{said}"
    );
    let (fine, again, _) = run(&data, &["user", "reset-password", "ada@example.com"]);
    assert!(fine && again != password);
    let (fine, key, _) = run(
        &data,
        &[
            "key",
            "create",
            "--user",
            "ada@example.com",
            "--name",
            "scripts",
            "--expires",
            "90d",
        ],
    );
    assert!(fine && key.starts_with("slk_"), "{key}");
    let (fine, _, said) = run(
        &data,
        &["key", "create", "--user", "eve@example.com", "--name", "x"],
    );
    assert!(
        !fine && said.contains("there is no user eve@example.com"),
        "{said}"
    );
    let (fine, _, _) = run(
        &data,
        &[
            "organisation",
            "add",
            "Elsewhere",
            "--owner-email",
            "else@example.com",
        ],
    );
    assert!(fine);
    let (fine, _, said) = run(&data, &["user", "list"]);
    assert!(
        !fine && said.contains("--organisation") && said.contains("Elsewhere"),
        "{said}"
    );
    let (fine, users, _) = run(
        &data,
        &["user", "list", "--organisation", "My organisation"],
    );
    assert!(
        fine && users.lines().count() == 2 && users.contains("ada@example.com"),
        "{users}"
    );

    let file = dir.path().join("backup.gz");
    let file = file.to_str().unwrap();
    let (fine, _, said) = run(&data, &["backup", file]);
    assert!(fine && said.contains("rows are saved"), "{said}");
    let (fine, _, said) = run(&data, &["restore", file]);
    assert!(!fine && said.contains("has tables already"), "{said}");
    let other = dir.path().join("other");
    let (fine, _, said) = run(&other, &["restore", file]);
    assert!(fine, "{said}");
    let (fine, listed, _) = run(
        &other,
        &["user", "list", "--organisation", "My organisation"],
    );
    assert!(fine);
    assert_eq!(listed, users);
    assert!(catalog.stop());
}

#[test]
fn commands_make_no_database_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let mistyped = dir.path().join("mistyped");
    let file = dir.path().join("backup.gz");
    let file = file.to_str().unwrap();
    for command in [
        vec!["backup", file],
        vec!["user", "list"],
        vec!["user", "add", "ada@example.com"],
        vec!["key", "create", "--user", "ada@example.com", "--name", "x"],
        vec!["organisation", "list"],
    ] {
        let (fine, _, said) = run(&mistyped, &command);
        assert!(
            !fine && said.contains("mistyped/catalog.db") && said.contains("--data-dir"),
            "{command:?}: {said}"
        );
    }
    assert!(!mistyped.exists() && !std::path::Path::new(file).exists());
    // A database of something else is left alone as well.
    std::fs::create_dir(&mistyped).unwrap();
    std::fs::write(mistyped.join("catalog.db"), "").unwrap();
    let (fine, _, said) = run(&mistyped, &["user", "list"]);
    assert!(!fine && said.contains("there is no catalog"), "{said}");
    assert_eq!(std::fs::read_dir(&mistyped).unwrap().count(), 1);
}

#[test]
fn a_port_or_a_database_that_is_not_to_be_had_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (args, words) in [
        (
            vec!["--listen", address.as_str()],
            vec!["cannot listen on", address.as_str()],
        ),
        (
            vec!["--database-url", "mysql://a/b"],
            vec!["database_url", "mysql://a/b"],
        ),
        (
            vec!["--database-url", "sqlite:/no/such/dir/x.db"],
            vec!["/no/such/dir/x.db"],
        ),
        (
            vec!["--tls-cert", "no.pem", "--tls-key", "no.key"],
            vec!["tls_cert", "no.pem"],
        ),
    ] {
        let output = program::binary()
            .arg("serve")
            .args(["--data-dir"])
            .arg(dir.path())
            .args(&args)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        for word in words {
            assert!(said.contains(word), "{args:?}: {word} in {said}");
        }
    }
}
