//! The exchange matrix under Kong's rules: what clients send and get over HTTP, as the filter reports it from the strict host.
//!
//! In: the filter as `cargo xtask filter` has built it. Out: each case of the matrix, the same that nginx and Envoy run, and
//! that no rule was broken on the way.

mod strict;

use anyhow::Result;
use serde_json::json;
use silhouette_e2e::matrix::{CAP, Case, Front, Stand, Traits};
use silhouette_e2e::process::free_port;
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Origin, Recording, exchange_matrix};
use strict::{BODY_BUFFER, Gateway, Options};

exchange_matrix!(run);

fn run(case: Case) -> Result<()> {
    let (recording, origin, authority) = (Recording::start()?, Origin::start()?, Authority::new()?);
    let nobody = free_port()?;
    let configuration = json!({
        "collector": recording.url(),
        "flush_interval_ms": 20,
        "max_request_body": CAP,
        "max_response_body": CAP,
    });
    let options = Options {
        routes: vec![
            ("/down".to_owned(), ([127, 0, 0, 1], nobody).into()),
            ("/hangup".to_owned(), origin.hangup()),
        ],
        identity: Some(authority.server()?),
        ..Options::new(origin.address()).chain("/", configuration.to_string())
    };
    let gateway = Gateway::start_module(strict::module()?, options)?;
    let front = Front {
        http: gateway.url(""),
        h2c: Some(gateway.h2c_url("")),
        tls: Some(gateway.tls_url("")),
        traits: Traits {
            server_address: true,
            kind: "kong",
            version: "kong/",
            route: "route-0".to_owned(),
            upstream: String::new(),
            virtual_server: String::new(),
            upstream_address: true,
            upstream_time: true,
            cipher: true,
            own_headers: &[],
            request_body_up_to: Some(BODY_BUFFER),
            websocket: true,
            // The host reads requests whole, so that nobody can converse through it.
            grpc: false,
            // nginx does not pass those of HTTP/1.1.
            trailers: false,
            bad_gateway: 502,
            header_lines: true,
            fine_clock: true,
            server_name: true,
            coded_bodies: true,
            unanswered: true,
            whole_bodies: true,
            awaited_bodies: true,
            broken_answers: true,
        },
    };
    let stand = Stand {
        front: &front,
        recording: &recording,
        origin: &origin,
    };
    case(&stand)?;
    gateway.record().is_clean()
}
