//! What clients send and get over HTTP, as the Cloudflare Worker reports it from a real workerd: the exchange matrix in a zone, and
//! what only Cloudflare adds.

mod custom;
mod handlers;
mod settings;
mod streams;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use silhouette_e2e::exchange::{path, request_body, request_header, response_body};
use silhouette_e2e::matrix::{Case, Front, Stand, Traits};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::zone::COLO;
use silhouette_e2e::{Origin, Recording, Zone, curl, exchange_matrix};
use silhouette_proto::telemetry::v1::Exchange;

use crate::custom::{Custom, with};

exchange_matrix!(run);

struct Bench {
    zone: Zone,
    recording: Recording,
    origin: Origin,
    front: Front,
    authority: Authority,
}

impl Bench {
    fn start(more: &Value) -> Result<Bench> {
        let recording = Recording::start()?;
        let origin = Origin::start()?;
        let authority = Authority::new()?;
        let settings = with(
            json!({ "flush_interval_ms": 20, "max_request_body": "4k", "max_response_body": 4096 }),
            more,
        );
        let zone = Zone::start(&origin, recording.address(), &authority, &settings)?;
        let traits = Traits {
            kind: "cloudflare",
            version: "Cloudflare-Workers",
            // A Worker is not told which route led to it, nor which address answered.
            route: String::new(),
            upstream: String::new(),
            virtual_server: String::new(),
            server_address: false,
            upstream_address: false,
            upstream_time: false,
            cipher: true,
            own_headers: &[],
            request_body_up_to: None,
            websocket: true,
            // workerd has no HTTP/2 and no trailers.
            grpc: false,
            trailers: false,
            bad_gateway: 502,
            header_lines: false,
            fine_clock: false,
            server_name: false,
            coded_bodies: false,
            // What nobody answered is an error of the client's alone.
            unanswered: false,
            whole_bodies: false,
            awaited_bodies: true,
            broken_answers: true,
        };
        let front = Front {
            http: zone.url(""),
            h2c: Some(zone.h2c_url("")),
            tls: Some(zone.tls_url("")),
            traits,
        };
        Ok(Bench {
            zone,
            recording,
            origin,
            front,
            authority,
        })
    }

    fn stand(&self) -> Stand<'_> {
        Stand {
            front: &self.front,
            recording: &self.recording,
            origin: &self.origin,
        }
    }
}

fn run(case: Case) -> Result<()> {
    case(&Bench::start(&json!({}))?.stand())
}

fn attributes(exchange: &Exchange) -> Vec<(String, String)> {
    let gateway = exchange.gateway.clone().unwrap_or_default();
    let attributes = gateway.attributes.into_iter();
    attributes.map(|it| (it.key, it.value)).collect()
}

#[test]
fn the_shim_says_who_it_is() -> Result<()> {
    let bench = Bench::start(&json!({ "name": "storefront" }))?;
    bench.stand().exchange("/json", &[])?;
    let batch = bench.recording.batches().pop().context("a batch")?;
    let shim = batch.shim.context("shim")?;
    assert_eq!(
        (shim.node.as_str(), shim.name.as_str()),
        (COLO, "storefront")
    );
    assert_eq!(shim.version, env!("CARGO_PKG_VERSION"));
    Ok(())
}

#[test]
fn cloudflares_context_is_captured() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    let (answer, exchange) = bench.stand().exchange("/echo", &[])?;
    let told = answer.json()?;
    let sent = told["headers"].as_array().context("headers")?;
    let ray = sent.iter().find(|header| header[0] == "cf-ray");
    let ray = ray.and_then(|header| header[1].as_str()).context("a ray")?;
    let wanted = [
        ("colo", COLO),
        ("country", "DE"),
        ("asn", "64496"),
        ("ray", ray),
        ("bot_score", "30"),
    ];
    let wanted: Vec<(String, String)> = wanted
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(attributes(&exchange), wanted);
    Ok(())
}

#[test]
fn what_cloudflare_adds_is_not_what_the_client_sent() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    let sent = ["-H", "X-Mark: 1", "-H", "Accept-Encoding: br;q=1, zstd"];
    let (answer, exchange) = bench.stand().exchange("/echo", &sent)?;
    // What reaches the origin has all of it.
    let told = answer.text();
    for name in [
        "cf-connecting-ip",
        "cf-visitor",
        "cdn-loop",
        "x-forwarded-proto",
        "gzip, br",
    ] {
        assert!(told.contains(name), "{name}: {told}");
    }
    let request = exchange.request.clone().context("request")?;
    let mut names: Vec<String> = request
        .headers
        .iter()
        .map(|h| String::from_utf8_lossy(&h.name).into_owned())
        .collect();
    names.retain(|name| name != "host");
    assert_eq!(names, ["accept", "accept-encoding", "user-agent", "x-mark"]);
    assert_eq!(
        request_header(&exchange, "accept-encoding").as_deref(),
        Some("br;q=1, zstd"),
        "Cloudflare keeps what the client sent beside what it sends"
    );
    let response = exchange.response.clone().context("response")?;
    for h in &response.headers {
        assert!(
            !["connection", "transfer-encoding"].contains(&&*String::from_utf8_lossy(&h.name)),
            "{h:?} is about a connection"
        );
    }
    Ok(())
}

#[test]
fn the_clients_address_comes_from_the_right_header() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    let v6: Vec<u8> = "2001:db8::7"
        .parse::<std::net::Ipv6Addr>()?
        .octets()
        .to_vec();
    for (headers, wanted) in [
        (
            &["CF-Connecting-IP: 203.0.113.9"][..],
            Some(vec![203, 0, 113, 9]),
        ),
        (&["CF-Connecting-IP: 2001:db8::7"], Some(v6.clone())),
        // Pseudo IPv4 puts a made-up address into the first.
        (
            &[
                "CF-Connecting-IP: 240.1.2.3",
                "CF-Connecting-IPv6: 2001:db8::7",
            ],
            Some(v6),
        ),
        // Clients can say these.
        (
            &[
                "X-Forwarded-For: 198.51.100.1",
                "X-Real-IP: 198.51.100.2",
                "True-Client-IP: 198.51.100.3",
            ],
            None,
        ),
        (&["CF-Connecting-IP: nonsense"], None),
    ] {
        let arguments: Vec<&str> = headers.iter().flat_map(|h| ["-H", h]).collect();
        let (_, exchange) = custom.exchange("/json", &arguments)?;
        let seen = exchange.client.map(|client| client.ip.to_vec());
        let seen = seen.filter(|ip| !ip.is_empty());
        assert_eq!(seen, wanted, "{headers:?}");
    }
    Ok(())
}

#[test]
fn a_client_certificate_is_seen() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    let client = bench.authority.client("somebody")?;
    let (certificate, key) = (client.certificate.display(), client.key.display());
    let arguments = [
        "-k",
        "--cert",
        &certificate.to_string(),
        "--key",
        &key.to_string(),
    ];
    let url = bench.zone.tls_url("/json");
    let (answer, exchange) = bench.stand().exchange_at(&url, &arguments)?;
    assert_eq!(answer.status, 200, "{}", answer.error);
    let tls = exchange.tls.context("tls")?;
    assert!(tls.client_certificate, "{tls:?}");
    Ok(())
}

/// gRPC itself needs HTTP/2, which no Worker is reached by.
#[test]
fn grpc_web_passes_untouched() -> Result<()> {
    let custom = Custom::start_with(&json!({}), |setup, origin| {
        setup.set("origin", &origin.grpc().url());
    })?;
    let service = "/silhouette.telemetry.v1.TelemetryService/Export";
    // A frame around an empty message.
    let frame = tempfile::NamedTempFile::new()?;
    std::fs::write(frame.path(), [0; 5])?;
    let data = format!("@{}", frame.path().display());
    let sent = [
        "-H",
        "Content-Type: application/grpc-web+proto",
        "--data-binary",
        &data,
    ];
    let url = format!("{}{service}", custom.origin.grpc().url());
    let direct = curl(sent.iter().copied().chain([url.as_str()]))?;
    let (answer, exchange) = custom.exchange(service, &sent)?;
    assert_eq!((answer.status, &answer.body), (direct.status, &direct.body));
    assert!(answer.text().contains("grpc-status:0"), "{}", answer.text());
    assert_eq!(custom.origin.grpc().exports(), 2);
    assert_eq!(path(&exchange), service);
    assert_eq!(request_body(&exchange).omitted, "content_type");
    assert_eq!(response_body(&exchange).omitted, "content_type");
    Ok(())
}
