//! What the gateway knows of an exchange, in Kong's words and in Envoy's.
//!
//! In: properties and headers of the host, asked when it has them and where asking is safe. Out: the parts of an
//! [`End`]. Kong's values are all text; it logs an error for what it does not have, and some of Envoy's names end its worker,
//! so that it is asked for its own names alone (`ngx.…`, `kong.…`).

use std::net::{IpAddr, SocketAddr};

use silhouette_capture::{End, Gateway as Seen, Peers, Tls};

use crate::host::{self, Headers};
use crate::settings::Gateway;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Surroundings {
    https: bool,
    route: String,
    service: String,
    upstream: String,
    virtual_server: String,
    consumer: String,
    upstream_address: Option<SocketAddr>,
    upstream_micros: Option<u64>,
    client: Option<SocketAddr>,
    server: Option<SocketAddr>,
    tls_version: String,
    tls_cipher: String,
    tls_server_name: String,
    tls_client_certificate: bool,
}

/// Who the caller is, as Kong's authentication tells the service behind it; the first that is there.
const CONSUMER: [&str; 4] = [
    "x-consumer-username",
    "x-consumer-custom-id",
    "x-consumer-id",
    "x-credential-identifier",
];
const KONGS_OWN: [&[u8]; 8] = [
    b"x-consumer-username",
    b"x-consumer-custom-id",
    b"x-consumer-id",
    b"x-consumer-groups",
    b"x-credential-identifier",
    b"x-credential-username",
    b"x-anonymous-consumer",
    b"x-authenticated-groups",
];
/// `x-forwarded-for` has the client's own address at its end, if not alone: whatever the client said there cannot be told any more.
const ENVOYS_OWN: [&[u8]; 3] = [b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"];

/// Pseudo-headers, and what the gateway itself adds to a message before a filter sees it.
pub(crate) fn is_gateways_own(gateway: Gateway, name: &[u8]) -> bool {
    let begins = |with: &[u8]| {
        name.get(..with.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
    };
    let (own, prefix): (&[&[u8]], &[u8]) = match gateway {
        Gateway::Kong => (&KONGS_OWN, b"x-kong-"),
        Gateway::Envoy => (&ENVOYS_OWN, b"x-envoy-"),
    };
    begins(b":") || begins(prefix) || own.iter().any(|own| name.eq_ignore_ascii_case(own))
}

impl Surroundings {
    /// What is known when the request's head is there.
    pub(crate) fn at_request(gateway: Gateway, headers: &Headers, https: bool) -> Surroundings {
        let mut known = Surroundings {
            https,
            ..Surroundings::default()
        };
        if gateway == Gateway::Kong {
            known.route = first(["kong\0route_name", "kong\0route_id"]);
            known.service = first(["kong\0service_name", "kong\0service_id"]);
            let names = CONSUMER.iter().map(|name| headers.get(name));
            let consumer = names.into_iter().find(|value| !value.is_empty());
            known.consumer = String::from_utf8_lossy(consumer.unwrap_or_default()).into_owned();
        }
        known
    }

    /// What the response's head says.
    pub(crate) fn at_response(&mut self, gateway: Gateway, headers: &Headers) {
        if gateway == Gateway::Envoy {
            let millis = headers.get("x-envoy-upstream-service-time");
            let millis = std::str::from_utf8(millis).ok();
            self.upstream_micros = millis
                .and_then(|millis| millis.parse::<u64>().ok())
                .and_then(|millis| millis.checked_mul(1000));
        }
    }

    /// What is known in the log phase.
    pub(crate) fn at_end(&mut self, gateway: Gateway) {
        match gateway {
            Gateway::Kong => self.kong(),
            Gateway::Envoy => self.envoy(),
        }
    }

    fn kong(&mut self) {
        self.client = pair("ngx\0remote_addr", "ngx\0remote_port");
        self.server = pair("ngx\0server_addr", "ngx\0server_port");
        // Of several tries the last one answered.
        self.upstream_address = last(&host::text("ngx\0upstream_addr")).parse().ok();
        self.upstream_micros = micros(last(&host::text("ngx\0upstream_response_time")));
        if self.https {
            self.tls_version = host::text("ngx\0ssl_protocol");
            self.tls_cipher = host::text("ngx\0ssl_cipher");
            self.tls_server_name = host::text("ngx\0ssl_server_name");
            self.tls_client_certificate = host::text("ngx\0ssl_client_verify") == "SUCCESS";
        }
    }

    fn envoy(&mut self) {
        // Asking is what costs here, so that nothing more is asked than needed. Newer Envoys have names below `xds` alone,
        // older ones only without it.
        self.upstream = host::text("xds\0cluster_name");
        self.route = host::text("xds\0route_name");
        if self.upstream.is_empty() && self.route.is_empty() {
            self.upstream = host::text("cluster_name");
            self.route = host::text("route_name");
        }
        self.client = host::text("source\0address").parse().ok();
        self.upstream_address = host::text("upstream\0address").parse().ok();
        if self.https {
            self.tls_version = host::text("connection\0tls_version");
            self.tls_server_name = host::text("connection\0requested_server_name");
            self.tls_client_certificate =
                host::property("connection\0mtls").as_deref() == Some(&[1]);
            if self.tls_client_certificate {
                self.consumer = host::text("connection\0uri_san_peer_certificate");
            }
        }
    }

    /// As the recorder wants it.
    pub(crate) fn end(&self) -> End<'_> {
        let tls = Tls {
            version: self.tls_version.trim_start_matches("TLSv"),
            cipher: &self.tls_cipher,
            server_name: &self.tls_server_name,
            client_certificate: self.tls_client_certificate,
        };
        End {
            gateway: Seen {
                route: &self.route,
                service: &self.service,
                upstream: &self.upstream,
                upstream_address: self.upstream_address,
                virtual_server: &self.virtual_server,
                consumer: &self.consumer,
                upstream_micros: self.upstream_micros,
                attributes: &[],
            },
            peers: Peers {
                client: self.client,
                server: self.server,
            },
            // Behind a load balancer that ends TLS, `https` is known and the session is not.
            tls: (!self.tls_version.is_empty()).then_some(tls),
            ..End::default()
        }
    }
}

/// The first of these properties that has a text.
pub(crate) fn first(paths: [&str; 2]) -> String {
    let texts = paths.iter().map(|path| host::text(path));
    texts
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// The last of a list that nginx separates by commas, and groups of it by colons.
fn last(list: &str) -> &str {
    list.rsplit([',', ' ']).next().unwrap_or_default()
}

/// Seconds with three digits after the point, as nginx writes times.
fn micros(seconds: &str) -> Option<u64> {
    let (whole, millis) = seconds.split_once('.')?;
    let millis: u64 = millis.parse().ok().filter(|_| millis.len() == 3)?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(millis * 1000)
}

fn pair(address: &str, port: &str) -> Option<SocketAddr> {
    let ip: IpAddr = host::text(address).parse().ok()?;
    Some(SocketAddr::new(ip, host::text(port).parse().unwrap_or(0)))
}
