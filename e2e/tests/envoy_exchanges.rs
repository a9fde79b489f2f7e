//! What clients send and get over HTTP, as the proxy-wasm filter reports it from a real Envoy: the exchange matrix, and what
//! only Envoy adds.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use silhouette_e2e::envoy::{Envoy, ORIGIN, ROUTE, Setup, settings};
use silhouette_e2e::exchange::{request_header, status};
use silhouette_e2e::matrix::{Case, Front, PATIENCE, Stand, Traits};
use silhouette_e2e::process::free_port;
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Origin, Recording, curl, exchange_matrix};

exchange_matrix!(run);

struct Bench {
    envoy: Envoy,
    recording: Recording,
    origin: Origin,
    front: Front,
    _authority: Authority,
}

impl Bench {
    fn start(more: &Value) -> Result<Bench> {
        let recording = Recording::start()?;
        let origin = Origin::start()?;
        let authority = Authority::new()?;
        let nobody = free_port()?;
        let mut filter = settings(
            recording.address(),
            &json!({ "flush_interval_ms": 20, "max_request_body": "4k", "max_response_body": 4096 }),
        );
        for (name, value) in more.as_object().into_iter().flatten() {
            filter[name] = value.clone();
        }
        let mut setup = Setup::capturing(recording.address(), origin.address(), &json!({}));
        setup.filter = Some(filter);
        setup.identity = Some(authority.server()?);
        setup.routes = vec![
            ("/down".to_owned(), ([127, 0, 0, 1], nobody).into(), false),
            ("/hangup".to_owned(), origin.hangup(), false),
            (
                "/silhouette.telemetry.v1.TelemetryService/".to_owned(),
                origin.grpc().address(),
                true,
            ),
        ];
        let envoy = Envoy::start(setup)?;
        let traits = Traits {
            kind: "envoy",
            version: "",
            route: ROUTE.to_owned(),
            upstream: ORIGIN.to_owned(),
            // Envoy knows these two; asking for them would cost every exchange more than it tells.
            virtual_server: String::new(),
            server_address: false,
            upstream_address: true,
            upstream_time: true,
            cipher: false,
            // Envoy writes `server` behind the filters.
            own_headers: &[],
            request_body_up_to: None,
            websocket: true,
            grpc: true,
            trailers: true,
            bad_gateway: 503,
            header_lines: true,
            fine_clock: true,
            server_name: true,
            coded_bodies: true,
            unanswered: true,
            whole_bodies: true,
            awaited_bodies: true,
            broken_answers: true,
        };
        let front = Front {
            http: envoy.url(""),
            h2c: Some(envoy.url("")),
            tls: Some(envoy.tls_url("")),
            traits,
        };
        Ok(Bench {
            envoy,
            recording,
            origin,
            front,
            _authority: authority,
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

#[test]
fn the_shim_says_who_it_is() -> Result<()> {
    let bench = Bench::start(&json!({ "name": "edge" }))?;
    bench.stand().exchange("/json", &[])?;
    let batch = bench.recording.batches().pop().context("a batch")?;
    let shim = batch.shim.context("shim")?;
    assert_eq!(
        (shim.node.as_str(), shim.name.as_str()),
        ("envoy-node-7", "edge")
    );
    assert_eq!(shim.version, env!("CARGO_PKG_VERSION"));
    Ok(())
}

#[test]
fn what_envoy_adds_is_not_what_the_client_sent() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    // What reaches the origin has Envoy's own headers.
    let sent = ["-H", "X-Forwarded-For: 203.0.113.9", "-H", "X-Mark: 1"];
    let (answer, exchange) = bench.stand().exchange("/echo", &sent)?;
    let told = answer.text();
    for name in ["x-request-id", "x-forwarded-proto", "203.0.113.9,"] {
        assert!(told.contains(name), "{name}: {told}");
    }
    let request = exchange.request.clone().context("request")?;
    let mut names: Vec<String> = request
        .headers
        .iter()
        .map(|h| String::from_utf8_lossy(&h.name).into_owned())
        .collect();
    names.retain(|name| name != "host");
    assert_eq!(names, ["user-agent", "accept", "x-mark"]);
    let response = exchange.response.clone().context("response")?;
    for h in &response.headers {
        assert!(
            !h.name.starts_with(b"x-envoy-") && h.name != ":status",
            "{h:?}"
        );
    }
    Ok(())
}

#[test]
fn an_answer_of_envoys_own_is_an_exchange() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    let (answer, exchange) = bench.stand().exchange("/down", &[])?;
    assert_eq!((answer.status, status(&exchange)), (503, 503));
    let gateway = exchange.gateway.context("gateway")?;
    assert_eq!(gateway.route, "route-0");
    Ok(())
}

#[test]
fn what_the_settings_exclude_is_counted() -> Result<()> {
    let bench = Bench::start(&json!({
        "exclude_paths": ["/echo*", "/slow/*"],
        "excluded_statuses": "404",
        "excluded_methods": ["DELETE"],
        "max_request_body": 0,
    }))?;
    let stand = bench.stand();
    for (path, method) in [
        ("/echo/a", "GET"),
        ("/slow/1", "GET"),
        ("/status/404", "GET"),
        ("/json", "DELETE"),
    ] {
        curl(["-X", method, &bench.envoy.url(path)])?;
    }
    let (_, exchange) = stand.exchange("/upload", &["-H", "X-Mark: 1", "-d", "a=b"])?;
    assert_eq!(request_header(&exchange, "x-mark").as_deref(), Some("1"));
    let body = exchange.request.context("request")?.body;
    let body = body.unwrap_or_default();
    assert_eq!(
        (body.data.len(), body.original_size, body.omitted.as_str()),
        (0, 3, "disabled")
    );
    bench
        .envoy
        .wait_counters("what was skipped", PATIENCE, |counters| {
            counters.get("captured") == 1
                && counters.get("skipped_reason=excluded_path;") == 2
                && counters.get("skipped_reason=excluded_status;") == 1
                && counters.get("skipped_reason=excluded_method;") == 1
        })?;
    Ok(())
}

#[test]
fn a_client_certificate_is_seen() -> Result<()> {
    let (recording, origin, authority) = (Recording::start()?, Origin::start()?, Authority::new()?);
    let mut setup = Setup::capturing(recording.address(), origin.address(), &json!({}));
    setup.identity = Some(authority.server()?);
    setup.client_ca = Some(authority.ca_file().to_owned());
    let envoy = Envoy::start(setup)?;
    let client = authority.client("somebody")?;
    let (certificate, key) = (client.certificate.display(), client.key.display());
    let answer = curl([
        "-k",
        "--cert",
        &certificate.to_string(),
        "--key",
        &key.to_string(),
        &envoy.tls_url("/json"),
    ])?;
    assert_eq!(answer.status, 200, "{}", answer.error);
    let exchanges = recording.wait_for(1, PATIENCE)?;
    let exchange = exchanges.first().context("one")?;
    let tls = exchange.tls.clone().context("tls")?;
    assert!(tls.client_certificate, "{tls:?}");
    Ok(())
}
