//! What does not belong is refused at the door: told so where it can be told, counted by reason, and nothing hangs.

mod collector;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use collector::{Collector, answer, get, talk};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use silhouette_collector::hsl::keys::Keys;
use silhouette_collector::hsl::record::signed;

/// An authority and what it has issued.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    path: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        let path = dir.join(format!("{name}.pem"));
        std::fs::write(&path, certificate.pem()).unwrap();
        Authority {
            dir: dir.to_owned(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            path,
        }
    }

    /// Files of a certificate for localhost.
    fn issue(&self, name: &str, expired: bool) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, private) = (
            self.dir.join(format!("{name}.pem")),
            self.dir.join(format!("{name}.key")),
        );
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        (cert, private)
    }
}

/// A connection that trusts an authority and shows a certificate.
fn over_tls(
    to: std::net::SocketAddr,
    authority: &Authority,
    client: Option<&(PathBuf, PathBuf)>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(cert).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap(),
    };
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(to).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    StreamOwned::new(connection, socket)
}

/// GET / over TLS; the error's text when there is no answer.
fn get_tls(
    to: std::net::SocketAddr,
    authority: &Authority,
    client: Option<&(PathBuf, PathBuf)>,
) -> Result<String, String> {
    let mut stream = over_tls(to, authority, client);
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .map_err(|error| error.to_string())?;
    let mut raw = Vec::new();
    match stream.read_to_end(&mut raw) {
        Err(error) if raw.is_empty() => Err(error.to_string()),
        _ => Ok(answer(&raw).body),
    }
}

fn refusals(collector: &Collector, listener: &str, reason: &str) -> u64 {
    collector.metric(&format!(
        "silhouette_connections_refused_total{{listener=\"{listener}\",reason=\"{reason}\"}}"
    ))
}

#[test]
fn garbage_on_a_plain_port() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--header-timeout", "2s"]);
    for (listener, to) in [
        ("telemetry", collector.telemetry),
        ("admin", collector.admin),
    ] {
        // TLS is answered in TLS: an alert, so that the client says what is wrong instead of hanging.
        let alert = talk(to, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
        assert_eq!(alert.first(), Some(&0x15), "{listener}: {alert:?}");
        talk(to, b"\0\0\0\0garbage");
        talk(to, &[0xff; 5000]);
        talk(to, b"GET / HTTP/1.1\r\nhost: never-");
        talk(to, b"GET / HTTP/1.1\r\nbad header\r\n\r\n");
        talk(
            to,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame at all",
        );
        talk(to, b""); // silent
        collector.wait("all are counted", || {
            let count = |reason| refusals(&collector, listener, reason);
            count("tls_on_plain_port") == 1
                && count("not_http") >= 3
                && count("silent") == 1
                && count("header_timeout") >= 1
        });
    }
    // One line per listener and reason, and none of what was sent.
    let log = collector.log();
    assert_eq!(log.matches("reason=\"not_http\"").count(), 2, "{log}");
    assert!(!log.contains("garbage"), "{log}");
    assert_eq!(collector.get("/healthz").status, 200);
}

#[test]
fn a_tls_port_and_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        Authority::new(dir.path(), "ours"),
        Authority::new(dir.path(), "theirs"),
    );
    let (cert, key) = ours.issue("server", false);
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (cert, key, ca) = (text(&cert), text(&key), text(&ours.path));
    let tls = ["--tls-cert", &cert, "--tls-key", &key];

    let collector = Collector::start(dir.path(), &[tls.as_slice(), &["--admin-tls"]].concat());
    for to in [collector.telemetry, collector.admin] {
        let body = get_tls(to, &ours, None).unwrap();
        assert!(body.contains("Silhouette"), "{body}");
    }
    let error = get_tls(collector.telemetry, &theirs, None).unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    let plain = answer(&talk(
        collector.telemetry,
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ));
    assert_eq!(plain.status, 400);
    assert!(plain.body.contains("speaks TLS"), "{plain:?}");
    let goaway = talk(collector.telemetry, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(goaway.ends_with(b"this port speaks TLS"), "{goaway:?}");
    talk(collector.telemetry, b"\x16garbage after the first byte");
    drop(collector);

    let mutual = [tls.as_slice(), &["--tls-client-ca", &ca]].concat();
    let collector = Collector::start(dir.path(), &mutual);
    let count = |reason| refusals(&collector, "telemetry", reason);
    get_tls(
        collector.telemetry,
        &ours,
        Some(&ours.issue("client", false)),
    )
    .unwrap();
    for (reason, client) in [
        ("client_certificate_missing", None),
        (
            "client_certificate_invalid",
            Some(theirs.issue("stranger", false)),
        ),
        (
            "client_certificate_expired",
            Some(ours.issue("expired", true)),
        ),
    ] {
        get_tls(collector.telemetry, &ours, client.as_ref()).unwrap_err();
        collector.wait(reason, || count(reason) == 1);
    }
    let _ = get_tls(collector.telemetry, &theirs, None);
    collector.wait("a client that refuses us", || {
        count("certificate_refused_by_client") == 1
    });
    talk(collector.telemetry, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    talk(collector.telemetry, b"\x16garbage after the first byte");
    collector.wait("plain and garbage", || {
        count("plain_http_on_tls_port") == 1 && count("tls_protocol") == 1
    });
}

#[test]
fn bigips_show_certificates_where_it_is_not_private() {
    let dir = tempfile::tempdir().unwrap();
    let (own, other) = (
        Authority::new(dir.path(), "own"),
        Authority::new(dir.path(), "other"),
    );
    let (server, client, stranger) = (
        own.issue("server", false),
        other.issue("bigip", false),
        own.issue("stranger", false),
    );
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    // The telemetry port asks nobody for a certificate; that for BIG-IPs has an authority of its own.
    let collector = Collector::start(
        dir.path(),
        &[
            "--hsl-tls-listen",
            "127.0.0.1:0",
            "--hsl-client-ca",
            &text(&other.path),
            "--tls-cert",
            &text(&server.0),
            "--tls-key",
            &text(&server.1),
        ],
    );
    let secret = Keys::open(&dir.path().join("data"))
        .unwrap()
        .create("bigip-1", 1)
        .unwrap();
    let now = silhouette_collector::unix_millis() / 1000;
    let head =
        base64::engine::general_purpose::STANDARD.encode("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let record = |sequence: u64| {
        let fields = format!(
            "{now:08x}00000001 0 {sequence} - - {now} - - - - - - - - - 1.1 - - - {head} - - -"
        );
        signed("bigip-1", &secret, fields.as_bytes())
    };
    let to = collector.address("hsl_tls");
    let accepted =
        || collector.metric("silhouette_hsl_records_accepted_total{listener=\"hsl_tls\"}");
    let unknown = || {
        collector.metric(
            "silhouette_hsl_records_refused_total{listener=\"hsl_tls\",reason=\"unknown_key\"}",
        )
    };
    let mut sequence = 0;
    // Until the key is in force.
    collector.wait("a BIG-IP is let in", || {
        sequence += 1;
        let mut stream = over_tls(to, &own, Some(&client));
        stream.write_all(&record(sequence)).unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
        collector.wait("it is judged", || accepted() + unknown() == sequence);
        accepted() > 0
    });
    let taken = accepted();
    for (client, reason) in [
        (None, "client_certificate_missing"),
        (Some(&stranger), "client_certificate_invalid"),
    ] {
        let mut stream = over_tls(to, &own, client);
        let _ = stream.write_all(&record(1000));
        let _ = stream.read(&mut [0; 1]);
        collector.wait(reason, || refusals(&collector, "hsl_tls", reason) == 1);
    }
    let mut plain = TcpStream::connect(to).unwrap();
    plain.write_all(&record(1001)).unwrap();
    collector.wait("plain is told apart", || {
        refusals(&collector, "hsl_tls", "plain_on_tls_port") == 1
    });
    assert_eq!(accepted(), taken);
}

#[test]
fn a_bigip_that_lost_its_power_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--hsl-listen", "127.0.0.1:0"]);
    let to = collector.address("hsl");
    let stream = TcpStream::connect(to).unwrap();
    let from = stream.local_addr().unwrap();
    let (here, there) = (
        format!(":{:04X}", to.port()),
        format!(":{:04X}", from.port()),
    );
    // Linux, proc(5): local and remote address, state, queues, then the timer, of which 02 is that of keepalive.
    collector.wait("the keepalive timer runs", || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        sockets.lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, _, _, timer, ..] = columns[..] else {
                return false;
            };
            local.ends_with(&here) && remote.ends_with(&there) && timer.starts_with("02:")
        })
    });
}

#[test]
fn connections_over_the_limit_are_closed_and_room_returns() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(
        dir.path(),
        &["--max-connections", "3", "--header-timeout", "20s"],
    );
    let held: Vec<_> = (0..3)
        .map(|_| TcpStream::connect(collector.telemetry).unwrap())
        .collect();
    collector.wait("a fourth is closed", || {
        talk(collector.telemetry, b"GET / HTTP/1.1\r\n\r\n");
        refusals(&collector, "telemetry", "too_many_connections") > 0
    });
    drop(held);
    collector.wait("room again", || {
        get(collector.telemetry, "/", "").status == 200
    });
}

#[test]
fn nothing_is_open_by_mistake() {
    let dir = tempfile::tempdir().unwrap();
    for (flag, want) in [
        ("--listen", "the telemetry port would accept anybody"),
        ("--admin-listen", "the admin listener would show everything"),
    ] {
        let output = collector::binary()
            .args(["serve", flag, "0.0.0.0:0", "--data-dir"])
            .arg(dir.path().join("data"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(want), "{text}");
    }
}

#[test]
fn pages_are_shown_under_known_names_only() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--admin-hosts", "silhouette.internal"]);
    let status =
        |name: &str| get(collector.admin, "/v1/hosts", &format!("Host: {name}\r\n")).status;
    for name in [
        "localhost",
        "LOCALHOST:99",
        "127.0.0.1",
        "[::1]:80",
        "silhouette.internal:4321",
    ] {
        assert_eq!(status(name), 200, "{name}");
    }
    for name in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
    ] {
        assert_eq!(status(name), 421, "{name:?}");
    }
    let page = collector.get("/");
    let head = page.head.to_ascii_lowercase();
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'sha256-"));
    assert!(head.contains("x-content-type-options: nosniff"));
    assert_eq!(collector.get("/nothing").status, 404);
}
