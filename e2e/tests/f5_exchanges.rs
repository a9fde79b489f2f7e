//! What clients send and get over HTTP, as the iRule reports it from an emulated BIG-IP to the real receiver: the exchange matrix,
//! and what only F5 adds.

use anyhow::{Context, Result};
use silhouette_e2e::bigip::{self, BigIp, Setup};
use silhouette_e2e::exchange::{request_body, response_body, status, text};
use silhouette_e2e::matrix::{Case, Front, PATIENCE, Stand, Traits};
use silhouette_e2e::process::free_port;
use silhouette_e2e::recording::Hsl;
use silhouette_e2e::{Origin, Recording, curl, exchange_matrix};

exchange_matrix!(run);

struct Bench {
    bigip: BigIp,
    hsl: Hsl,
    recording: Recording,
    origin: Origin,
    front: Front,
}

impl Bench {
    fn start(more: &[(&str, &str)]) -> Result<Bench> {
        Self::with(more, |_| {})
    }

    fn with(more: &[(&str, &str)], change: impl FnOnce(&mut Setup)) -> Result<Bench> {
        let recording = Recording::start()?;
        let hsl = recording.hsl()?;
        let origin = Origin::start()?;
        let nobody = free_port()?;
        // Chunked uploads are only collected when asked for: they may wait for an answer.
        let own = [
            ("max_request_body", "4k"),
            ("max_response_body", "4096"),
            ("collect_chunked", "both"),
        ];
        let settings: Vec<(&str, &str)> = own.iter().chain(more).copied().collect();
        let mut setup = Setup::capturing(
            hsl.address,
            (&hsl.key_id, &hsl.secret),
            origin.address(),
            &settings,
        );
        setup.routes = vec![
            ("/down".to_owned(), ([127, 0, 0, 1], nobody).into()),
            ("/hangup".to_owned(), origin.hangup()),
        ];
        change(&mut setup);
        let bigip = BigIp::start(&setup)?;
        let front = Front {
            http: bigip.url(""),
            // The emulated BIG-IP speaks HTTP/1.1 alone; what its rules see of HTTP/2 and TLS is tested below.
            h2c: None,
            tls: None,
            traits: Traits {
                kind: "f5",
                version: "BIG-IP 16.1.4",
                route: String::new(),
                upstream: bigip::POOL.to_owned(),
                virtual_server: bigip::VIRTUAL.to_owned(),
                server_address: true,
                upstream_address: true,
                upstream_time: false,
                cipher: true,
                own_headers: &[],
                request_body_up_to: None,
                websocket: true,
                grpc: false,
                trailers: true,
                // Without a fallback host the client is reset.
                bad_gateway: 0,
                header_lines: true,
                fine_clock: false,
                server_name: true,
                coded_bodies: true,
                unanswered: true,
                whole_bodies: false,
                awaited_bodies: false,
                broken_answers: false,
            },
        };
        Ok(Bench {
            bigip,
            hsl,
            recording,
            origin,
            front,
        })
    }

    fn stand(&self) -> Stand<'_> {
        Stand {
            front: &self.front,
            recording: &self.recording,
            origin: &self.origin,
        }
    }

    /// No rule failed or did what a BIG-IP refuses, and the receiver took every record.
    fn clean(&self) -> Result<()> {
        self.bigip.clean()?;
        let refused = self.hsl.refused();
        assert!(refused.is_empty(), "{refused:?}");
        Ok(())
    }
}

fn run(case: Case) -> Result<()> {
    let bench = Bench::start(&[])?;
    case(&bench.stand())?;
    bench.clean()
}

/// The same with an HTTP profile that preserves chunking: what rules collect then is framed.
#[test]
fn bodies_whose_chunks_are_preserved_are_the_same() -> Result<()> {
    for case in [
        silhouette_e2e::matrix::bodies::chunked_both_ways,
        silhouette_e2e::matrix::bodies::odd_bytes_in_a_body,
        silhouette_e2e::matrix::connections::exchanges_are_not_mixed_up,
        silhouette_e2e::matrix::streams::trailers_pass,
    ] {
        let bench = Bench::with(&[], |setup| {
            *setup = setup.clone().with(&["--chunking", "preserve"]);
        })?;
        case(&bench.stand())?;
        bench.clean()?;
    }
    Ok(())
}

#[test]
fn the_shim_says_who_it_is() -> Result<()> {
    let bench = Bench::with(&[], |setup| setup.tmms = 2)?;
    for n in 0..2 {
        curl([bench.bigip.url(&format!("/json?n={n}"))])?;
    }
    bench.recording.wait_for(2, PATIENCE)?;
    let mut nodes = Vec::new();
    let mut instances = Vec::new();
    for batch in bench.recording.batches() {
        let shim = batch.shim.context("shim")?;
        assert_eq!(shim.name, bench.hsl.key_id);
        assert_eq!(shim.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(shim.gateway_version, "BIG-IP 16.1.4");
        nodes.push(shim.node);
        instances.push(shim.instance);
    }
    nodes.sort();
    let wanted = [0, 1].map(|tmm| format!("{}/tmm{tmm}", bigip::HOSTNAME));
    assert_eq!(nodes, wanted);
    assert_ne!(instances[0], instances[1]);
    bench.clean()
}

#[test]
fn tls_facts_of_the_client_arrive() -> Result<()> {
    let facts =
        "version=TLSv1.2,cipher=ECDHE-RSA-AES128-GCM-SHA256,bits=128,sni=shop.example,cert=ok";
    let bench = Bench::with(&[], |setup| *setup = setup.clone().with(&["--tls", facts]))?;
    let (_, exchange) = bench.stand().exchange("/json", &[])?;
    assert_eq!(exchange.scheme, "https");
    let tls = exchange.tls.context("tls")?;
    assert_eq!(
        (
            tls.version.as_str(),
            tls.server_name.as_str(),
            tls.client_certificate
        ),
        ("1.2", "shop.example", true)
    );
    assert_eq!(tls.cipher, "ECDHE-RSA-AES128-GCM-SHA256");
    bench.clean()
}

#[test]
fn exchanges_over_http2_are_told_as_such() -> Result<()> {
    let bench = Bench::with(&[], |setup| *setup = setup.clone().with(&["--http2"]))?;
    let (answer, exchange) = bench.stand().exchange(
        "/echo?a=b",
        &["-H", "Content-Type: application/json", "-d", "{\"h\":2}"],
    )?;
    assert_eq!((answer.status, status(&exchange)), (200, 200));
    assert_eq!(exchange.http_version, "2");
    assert_eq!(text(&request_body(&exchange)), "{\"h\":2}");
    assert_eq!(response_body(&exchange).data, answer.body);
    bench.clean()
}

#[test]
fn answers_of_the_bigip_itself_arrive_whole() -> Result<()> {
    let own = r#"
        when HTTP_REQUEST {
            if { [HTTP::path] eq "/own" } { HTTP::respond 403 content {{"error":"no"}} Content-Type application/json }
        }
        when LB_FAILED { HTTP::respond 503 content "sorry" }
    "#;
    let bench = Bench::with(&[], |setup| {
        setup.rules.push(("own".to_owned(), own.to_owned()))
    })?;
    for (path, wanted) in [("/own", 403), ("/down", 503)] {
        let (answer, exchange) = bench.stand().exchange(path, &[])?;
        assert_eq!(
            (answer.status, status(&exchange)),
            (wanted, u32::from(wanted))
        );
        assert_eq!(
            response_body(&exchange).original_size,
            answer.body.len() as u64,
            "{path}"
        );
        assert!(!exchange.unfinished, "{path}");
        let upstream = exchange
            .gateway
            .and_then(|gateway| gateway.upstream_address);
        assert!(upstream.is_none(), "{path}: {upstream:?}");
    }
    bench.clean()
}

#[test]
fn records_by_udp_are_taken_too() -> Result<()> {
    let bench = Bench::start(&[("transport", "udp")])?;
    let (answer, exchange) = bench.stand().exchange("/json", &[])?;
    assert_eq!(response_body(&exchange).data, answer.body);
    bench.clean()
}

#[test]
fn a_body_that_is_compressed_for_the_client_arrives_plain() -> Result<()> {
    let bench = Bench::with(&[], |setup| {
        *setup = setup.clone().with(&["--compress"]);
    })?;
    let (answer, exchange) = bench
        .stand()
        .exchange("/json?size=500", &["--compressed"])?;
    let coding = answer.headers.iter().find(|(n, _)| n == "content-encoding");
    assert_eq!(coding.map(|(_, value)| value.as_str()), Some("gzip"));
    let body = response_body(&exchange);
    assert_eq!(body.data, answer.body);
    assert_eq!((body.omitted.as_str(), body.truncated), ("", false));
    bench.clean()
}
