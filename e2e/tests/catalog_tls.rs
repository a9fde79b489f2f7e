//! The catalog over TLS: for browsers and for collectors, with certificates as they should be and as they should not.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use silhouette_e2e::catalog::{OWNER, PASSWORD, register_trusting};
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::tls::{Authority, Identity};
use silhouette_e2e::{Answer, Catalog, Collector, artifacts, calls, curl, process};

/// A request that trusts an authority.
fn ask(authority: &Authority, args: &[&str]) -> Result<Answer> {
    let ca = authority.ca_file().to_str().context("a path in UTF-8")?;
    curl([&["--cacert", ca], args].concat())
}

/// Puts another certificate where the catalog reads its own.
fn replace(current: &Identity, by: &Identity) -> Result<()> {
    // The key first: a look in between finds a pair that does not fit, and keeps the old one.
    std::fs::copy(&by.key, &current.key)?;
    std::fs::copy(&by.certificate, &current.certificate)?;
    Ok(())
}

#[test]
fn browsers_and_programs_are_served_over_tls() -> Result<()> {
    let (ours, theirs) = (Authority::new()?, Authority::new()?);
    let identity = ours.server()?;
    let catalog = Catalog::start_with_tls(&ours, &identity, &[])?;
    let (url, port) = (catalog.url(), catalog.address().port());
    let health = format!("{url}/healthz");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let answer = ask(&ours, &[flag, &health])?;
        assert_eq!(
            (answer.status, answer.http_version.as_str()),
            (200, version),
            "{answer:?}"
        );
    }
    let by_address = format!("https://127.0.0.1:{port}/healthz");
    assert_eq!(ask(&ours, &[&by_address])?.status, 200);
    assert!(catalog.rest().get("/api/v1/me").is_ok());

    // What curl's exit codes mean: 35 no handshake, 60 a certificate that is not trusted.
    assert_eq!(ask(&ours, &["--tls-max", "1.1", &health])?.exit, 35);
    assert_eq!(ask(&theirs, &[&health])?.exit, 60);
    let plain = curl([format!("http://localhost:{port}/healthz")])?;
    assert!(
        plain.status == 400 && plain.text().contains("https://"),
        "{plain:?}"
    );

    // Nobody but this very host, over TLS, can set or read the session's cookie.
    let jar = tempfile::NamedTempFile::new()?;
    let jar = jar.path().to_str().context("a path in UTF-8")?;
    let sign_in = format!("{url}/sign-in");
    let page = ask(&ours, &["-c", jar, "-b", jar, &sign_in])?;
    let text = page.text();
    let (_, rest) = text
        .split_once("name=\"csrf\" value=\"")
        .with_context(|| format!("no token in {text}"))?;
    let (token, _) = rest.split_once('"').context("the token's end")?;
    let fields = [
        format!("csrf={token}"),
        format!("email={OWNER}"),
        format!("password={PASSWORD}"),
    ];
    let mut args = vec!["-c", jar, "-b", jar];
    for field in &fields {
        args.extend(["--data-urlencode", field]);
    }
    args.push(&sign_in);
    let answer = ask(&ours, &args)?;
    assert_eq!(answer.status, 303, "{answer:?}");
    let session = answer.headers.iter().find(|(name, value)| {
        name == "set-cookie" && value.starts_with("__Host-silhouette-session=")
    });
    let (_, session) = session.with_context(|| format!("no session in {answer:?}"))?;
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(session.contains(part), "{session}");
    }
    assert!(!session.contains("Domain"), "{session}");
    let overview = ask(&ours, &["-b", jar, &format!("{url}/")])?;
    assert_eq!(overview.status, 200, "{overview:?}");

    // A renewed certificate is taken up without a restart.
    replace(&identity, &theirs.server()?)?;
    process::wait_until("the new certificate is in force", PATIENCE, || {
        ask(&theirs, &[&health]).is_ok_and(|answer| answer.status == 200)
    })
}

#[test]
fn certificates_that_cannot_be_used_are_named_at_the_start() -> Result<()> {
    let authority = Authority::new()?;
    let (one, other) = (
        authority.server()?,
        authority.server_named("other.example")?,
    );
    let scratch = tempfile::tempdir()?;
    let refused = |certificate: &Path, key: &Path, words: &[&str]| -> Result<()> {
        let output = Command::new(artifacts::catalog()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(scratch.path())
            .arg("--tls-cert")
            .arg(certificate)
            .arg("--tls-key")
            .arg(key)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "it started: {said}");
        for word in words {
            ensure!(said.contains(word), "no {word:?} in {said}");
        }
        Ok(())
    };
    refused(
        &one.certificate,
        &other.key,
        &["server.pem", "other.example.key", "do not work together"],
    )?;
    refused(&one.key, &one.key, &["tls_cert", "server.key"])?;
    refused(
        &one.certificate,
        &one.certificate,
        &["tls_key", "server.pem"],
    )?;
    refused(
        Path::new("/nowhere/cert.pem"),
        &one.key,
        &["/nowhere/cert.pem"],
    )
}

/// `forward status`, as people see it.
fn forward_status(collector: &Collector) -> Result<String> {
    let output = Command::new(artifacts::collector()?)
        .args(["forward", "status", "--collector"])
        .arg(format!("http://{}", collector.admin()))
        .arg("--data-dir")
        .arg(collector.data_dir())
        .stdin(Stdio::null())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shows(collector: &Collector, words: &[&str]) -> Result<()> {
    let mut last = String::new();
    process::wait_until(&format!("{words:?} are shown"), PATIENCE, || {
        last = forward_status(collector).unwrap_or_else(|error| format!("{error:#}"));
        words.iter().all(|word| last.contains(word))
    })
    .with_context(|| format!("the last that was shown: {last}"))
}

#[test]
fn a_collector_forwards_to_whom_it_can_trust_and_to_nobody_else() -> Result<()> {
    let (ours, theirs) = (Authority::new()?, Authority::new()?);
    let good = ours.server()?;
    let identity = Identity {
        certificate: good.certificate.with_file_name("current.pem"),
        key: good.key.with_file_name("current.key"),
    };
    replace(&identity, &good)?;
    let mut catalog = Catalog::start_with_tls(&ours, &identity, &["--heartbeat", "1s"])?;
    let collector = Collector::start(&["--settle", "0s"])?;
    let rest = catalog.rest().clone();
    let source = rest.add_source("edge")?;
    let token = rest.registration_token(&source)?;
    let status = || rest.get(&format!("/api/v1/sources/{source}"));

    // Not to strangers, and not under another name: neither the token nor anything else is sent.
    for authority in [None, Some(theirs.ca_file())] {
        let refused = register_trusting(&collector, &catalog.url(), &token, authority);
        let said = format!("{:#}", refused.expect_err("it registered"));
        assert!(
            said.contains("UnknownIssuer") && said.contains("--tls-ca"),
            "{said}"
        );
    }
    let nowhere = Some(Path::new("/nowhere/ca.pem"));
    let refused = register_trusting(&collector, &catalog.url(), &token, nowhere);
    let said = format!("{:#}", refused.expect_err("it registered"));
    assert!(said.contains("/nowhere/ca.pem"), "{said}");
    assert_eq!(status()?["statusTitle"], "Awaiting setup");

    catalog.register_by(&collector, &token)?;
    calls::send(&collector, "one.example", 1)?;
    process::wait_until("the first API arrives", PATIENCE, || {
        rest.api_of("one.example").is_ok_and(|api| api.is_some())
    })?;

    for (number, (bad, words)) in [
        (theirs.server()?, ["UnknownIssuer", "--tls-ca"]),
        (
            ours.server_named("other.example")?,
            ["localhost", "certificate is not for this address"],
        ),
        (ours.expired_server()?, ["expired", "not valid"]),
    ]
    .into_iter()
    .enumerate()
    {
        catalog.terminate()?;
        replace(&identity, &bad)?;
        catalog.restart()?;
        let host = format!("bad{number}.example");
        calls::send(&collector, &host, 2 + number as u64)?;
        shows(&collector, &["does not answer", words[0], words[1], &host])?;
        // Asked by somebody who trusts anybody: nothing has come.
        let key = format!("X-Auth: {}", rest.key());
        let list = format!("{}/api/v1/apis?host={host}", catalog.url());
        let answer = curl(["-k", "-H", &key, &list])?;
        assert_eq!(answer.json()?["pageInfo"]["totalCount"], 0, "{answer:?}");

        catalog.terminate()?;
        replace(&identity, &good)?;
        catalog.restart()?;
        process::wait_until("what waited arrives", PATIENCE, || {
            rest.api_of(&host).is_ok_and(|api| api.is_some())
        })?;
        shows(&collector, &["the catalog answers"])?;
    }
    Ok(())
}
