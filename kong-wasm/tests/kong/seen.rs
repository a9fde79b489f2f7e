//! What the filter captures in Kong of exchanges of every kind.

use super::*;

#[test]
fn an_exchange_has_everything_that_kong_knows() -> Result<()> {
    for kong in [Kong::V3_4, Kong::V3_9, Kong::V3_10] {
        let (recording, origin) = (Recording::start()?, Origin::start()?);
        let added = [
            ("X-Consumer-ID", "c-1"),
            ("X-Consumer-Username", "alice"),
            ("X-Credential-Identifier", "key-1"),
        ];
        let options = Options {
            kong,
            added: added
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Options::new(origin.address())
        };
        let settings = json!({ "name": "edge", "token": "secret-token" });
        let options = options.chain("/", configuration(&recording.url(), &settings));
        let gateway = Gateway::start_module(strict::module()?, options)?;
        let stand = Stand {
            gateway,
            recording,
            origin,
        };
        let arguments = [
            "--path-as-is",
            "-H",
            "X-Twice: one",
            "-H",
            "X-Twice: two",
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"n\":1}",
        ];
        let (answer, exchange) = stand.exchange("/echo/a%20b/../c?x=1&y=%2F", &arguments)?;
        assert_eq!(answer.status, 200);
        let request = exchange.request.clone().context("request")?;
        assert_eq!(
            &request.path[..],
            b"/echo/a%20b/../c",
            "as sent, before decoding"
        );
        assert_eq!(request.query.as_deref(), Some(&b"x=1&y=%2F"[..]));
        assert_eq!(
            (
                request.method.as_str(),
                exchange.scheme.as_str(),
                exchange.http_version.as_str()
            ),
            ("POST", "http", "1.1")
        );
        assert_eq!(
            exchange.authority,
            stand.gateway.address().to_string().into_bytes(),
            "as sent, not the machine's"
        );
        let headers = request_headers(&exchange);
        assert_eq!(headers.first().map(|(name, _)| name.as_str()), Some("host"));
        let twice: Vec<&str> = headers
            .iter()
            .filter(|(n, _)| n == "x-twice")
            .map(|(_, v)| v.as_str())
            .collect();
        assert_eq!(twice, ["one", "two"]);
        let kongs = headers
            .iter()
            .filter(|(name, _)| name.starts_with(':') || name.starts_with("x-c"));
        assert_eq!(
            kongs.count(),
            0,
            "neither pseudo-headers nor what Kong has added: {headers:?}"
        );
        assert_eq!(&request_body(&exchange).data[..], b"{\"n\":1}");
        assert_eq!(response_body(&exchange).data, answer.body);
        assert!(!exchange.unfinished);
        let (client, server) = (
            exchange.client.clone().context("client")?,
            exchange.server.clone().context("server")?,
        );
        assert_eq!(
            (&client.ip[..], server.port),
            (
                &[127, 0, 0, 1][..],
                u32::from(stand.gateway.address().port())
            )
        );
        let gateway = exchange.gateway.clone().context("gateway")?;
        let ids = [
            "00000000-0000-4000-8000-000000000005",
            "00000000-0000-4000-8000-000000000007",
        ];
        let names = if kong.all_properties {
            ["route-0", "service-0"]
        } else {
            ids
        };
        assert_eq!(
            [gateway.route.as_str(), gateway.service.as_str()],
            names,
            "{}",
            kong.version
        );
        assert_eq!(gateway.consumer, "alice");
        let upstream = gateway.upstream_address.context("upstream")?;
        assert_eq!(upstream.port, u32::from(stand.origin.address().port()));
        assert!(gateway.upstream_micros.is_some());
        let shim = stand
            .recording
            .batches()
            .pop()
            .context("batch")?
            .shim
            .context("shim")?;
        assert_eq!(
            (shim.kind.as_str(), shim.instance.len(), shim.name.as_str()),
            ("kong", 16, "edge")
        );
        let node = if kong.all_properties {
            "6e9d1b2c-0000-4000-8000-00000000000a"
        } else {
            ""
        };
        assert_eq!(shim.node, node);
        let version = if kong.all_properties {
            format!("kong/{}", kong.version)
        } else {
            String::new()
        };
        assert_eq!(shim.gateway_version, version);
        assert!(
            stand
                .recording
                .authorizations()
                .iter()
                .all(|value| value == "Bearer secret-token")
        );
        stand.gateway.record().is_clean()?;
        let errors = stand.gateway.record().lines(Level::Warn);
        assert!(errors.is_empty(), "{errors:?}");
    }
    Ok(())
}

#[test]
fn tls_of_the_client_and_http2() -> Result<()> {
    let authority = Authority::new()?;
    let (recording, origin) = (Recording::start()?, Origin::start()?);
    let options = Options {
        identity: Some(authority.server()?),
        ..Options::new(origin.address())
    };
    let options = options.chain("/", configuration(&recording.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    let stand = Stand {
        gateway,
        recording,
        origin,
    };
    let answer = curl(["-k", "--http2", &stand.gateway.tls_url("/json")])?;
    assert_eq!((answer.status, answer.http_version.as_str()), (200, "2"));
    let exchange = stand
        .recording
        .wait_for(1, PATIENCE)?
        .pop()
        .context("one")?;
    let tls = exchange.tls.clone().context("tls")?;
    assert_eq!(
        (tls.version.as_str(), tls.server_name.as_str()),
        ("1.3", "localhost")
    );
    assert!(
        tls.cipher.starts_with("TLS_") && !tls.client_certificate,
        "{tls:?}"
    );
    assert_eq!(
        (exchange.scheme.as_str(), exchange.http_version.as_str()),
        ("https", "2")
    );
    let (_, plain) = stand.exchange("/json", &[])?;
    assert!(plain.tls.is_none());
    stand.gateway.record().is_clean()
}

#[test]
fn a_websocket_passes_and_is_recorded_when_it_closes() -> Result<()> {
    let stand = Stand::new()?;
    let upgrade =
        b"GET /ws HTTP/1.1\r\nHost: w.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut socket = TcpStream::connect(stand.gateway.address())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(upgrade)?;
    let mut part = [0; 1024];
    let n = socket.read(&mut part)?;
    assert!(part[..n].starts_with(b"HTTP/1.1 101"));
    // A masked text frame "hi" (RFC 6455, 5.2), echoed unmasked.
    socket.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2])?;
    let n = socket.read(&mut part)?;
    assert_eq!(&part[..n], [0x81, 2, b'h', b'i']);
    drop(socket);
    let exchange = stand
        .recording
        .wait_for(1, PATIENCE)?
        .pop()
        .context("one")?;
    assert_eq!(exchange.response.as_ref().map(|r| r.status), Some(101));
    assert!(!exchange.unfinished);
    stand.gateway.record().is_clean()
}

#[test]
fn a_grpc_call_passes_untouched() -> Result<()> {
    let (recording, origin) = (Recording::start()?, Origin::start()?);
    let options = Options::new(origin.grpc().address())
        .chain("/", configuration(&recording.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    let batch = ExportRequest {
        sequence: 1,
        shim: Some(Shim {
            instance: vec![3; 16].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut message = vec![0];
    message.extend(u32::try_from(batch.encoded_len())?.to_be_bytes());
    message.extend(batch.encode_to_vec());
    let file = tempfile(&message)?;
    let path = "/silhouette.telemetry.v1.TelemetryService/Export";
    let data = format!("@{}", file.display());
    let url = gateway.h2c_url(path);
    let answer = curl([
        "--http2-prior-knowledge",
        "-H",
        "Content-Type: application/grpc",
        "-H",
        "TE: trailers",
        "--data-binary",
        &data,
        &url,
    ])?;
    std::fs::remove_file(&file)?;
    assert_eq!((answer.status, answer.exit), (200, 0), "{}", answer.error);
    let response = ExportResponse::decode(answer.body.get(5..).context("a message")?)?;
    assert_eq!(response.acknowledged_sequence, 1);
    let exchange = recording.wait_for(1, PATIENCE)?.pop().context("one")?;
    assert_eq!(
        exchange.request.as_ref().map(|r| &r.path[..]),
        Some(path.as_bytes())
    );
    assert!(!exchange.unfinished);
    gateway.record().is_clean()
}

/// A file with these bytes, of this process.
fn tempfile(bytes: &[u8]) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("silhouette-grpc-{}", std::process::id()));
    std::fs::write(&path, bytes)?;
    Ok(path)
}

#[test]
fn a_body_in_a_file_is_asked_for_once() -> Result<()> {
    let stand = Stand::new()?;
    let post = |size: usize| -> Result<Body> {
        let body = "7".repeat(size);
        let (answer, exchange) = stand.exchange(
            "/upload",
            &[
                "-H",
                "Expect:",
                "-H",
                "Content-Type: text/plain",
                "-d",
                &body,
            ],
        )?;
        assert_eq!(answer.json()?["bytes"], size, "the origin has all of it");
        Ok(request_body(&exchange))
    };
    let small = post(8192)?;
    assert_eq!((small.data.len(), small.truncated), (8192, false));
    // Each read that fails is an error in Kong's log: one for each size that is smaller than those before.
    for (size, reads) in [
        (20_000, 1),
        (20_000, 1),
        (50_000, 1),
        (9_000, 2),
        (9_500, 2),
        (15_000, 2),
    ] {
        let body = post(size)?;
        assert_eq!(
            (body.data.len(), body.original_size),
            (0, size as u64),
            "{size}"
        );
        assert_eq!(body.omitted, "unavailable", "it is said why");
        assert_eq!(
            stand.gateway.record().contents().spooled_reads,
            reads,
            "{size}"
        );
    }
    assert_eq!(post(8000)?.data.len(), 8000, "smaller ones are there still");
    stand.gateway.record().is_clean()
}
