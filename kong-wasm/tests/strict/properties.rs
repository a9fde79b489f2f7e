//! What `proxy_get_property` answers in Kong: always text, and an error line for what Kong does not have.
//!
//! In: a dotted path, the exchange if there is one. Out: a value, nothing, or a refusal that the host logs.

use super::exchange::{Exchange, Named};

/// The host's answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Property {
    Found(Vec<u8>),
    /// Silently nothing.
    Missing,
    /// Nothing, and an error line with these words.
    Refused(String),
    /// Only within a request; here the instance is lost.
    OutsideRequest,
}

/// Attributes of Envoy that are nginx variables here.
const MAPPED: &[(&str, &str)] = &[
    ("request.path", "request_uri"),
    ("request.url_path", "uri"),
    ("request.host", "hostname"),
    ("request.scheme", "scheme"),
    ("request.method", "request_method"),
    ("request.useragent", "http_user_agent"),
    ("request.protocol", "server_protocol"),
    ("request.query", "args"),
    ("request.duration", "request_time"),
    ("request.size", "content_length"),
    ("request.total_size", "request_length"),
    ("response.code", "status"),
    ("response.size", "body_bytes_sent"),
    ("response.total_size", "bytes_sent"),
    ("destination.address", "proxy_protocol_addr"),
    ("destination.port", "proxy_protocol_port"),
    ("connection.requested_server_name", "ssl_server_name"),
    ("connection.tls_version", "ssl_protocol"),
    ("connection.subject_local_certificate", "ssl_client_s_dn"),
    ("source.address", "remote_addr"),
    ("source.port", "remote_port"),
];

/// Attributes of Envoy that the host knows by name and refuses with an error line each time.
const REFUSED: &[&str] = &[
    "response.grpc_status",
    "response.trailers",
    "response.code_details",
    "response.flags",
    "upstream.tls_version",
    "upstream.subject_local_certificate",
    "upstream.subject_peer_certificate",
    "upstream.dns_san_local_certificate",
    "upstream.dns_san_peer_certificate",
    "upstream.uri_san_local_certificate",
    "upstream.uri_san_peer_certificate",
    "upstream.sha256_peer_certificate_digest",
    "upstream.local_address",
    "upstream.transport_failure_reason",
    "connection.subject_peer_certificate",
    "connection.dns_san_local_certificate",
    "connection.dns_san_peer_certificate",
    "connection.uri_san_local_certificate",
    "connection.uri_san_peer_certificate",
    "connection.sha256_peer_certificate_digest",
    "connection.termination_details",
    "plugin_vm_id",
    "node",
    "cluster_name",
    "cluster_metadata",
    "listener_direction",
    "listener_metadata",
    "route_name",
    "route_metadata",
    "upstream_host_metadata",
];

/// Looks a property up.
pub fn property(path: &str, exchange: Option<&Exchange>) -> Property {
    if REFUSED.contains(&path) {
        return Property::Refused(format!("\"{path}\" property not supported"));
    }
    match (path, exchange) {
        ("plugin_name", Some(_)) => return found("silhouette"),
        // An empty text, formatted as a number.
        ("plugin_root_id", Some(_)) => return found("0"),
        // The worker follows a pointer to nothing.
        ("plugin_name" | "plugin_root_id", None) => return Property::OutsideRequest,
        _ => {}
    }
    let mapped = MAPPED.iter().find(|(name, _)| *name == path);
    let variable = mapped.map(|(_, variable)| *variable);
    if let Some(name) = variable.or_else(|| path.strip_prefix("ngx.")) {
        return match exchange {
            Some(exchange) => optional(nginx_variable(name, exchange)),
            None => Property::OutsideRequest,
        };
    }
    if path.starts_with("kong.") {
        return match exchange {
            Some(exchange) => of_kong(path, exchange),
            None => Property::OutsideRequest,
        };
    }
    match exchange {
        Some(exchange) => of_request(path, exchange),
        // The real host reads the request without looking whether there is one.
        None if path.starts_with("request.") || path.starts_with("upstream.") => {
            Property::OutsideRequest
        }
        None => Property::Missing,
    }
}

fn found(text: impl Into<Vec<u8>>) -> Property {
    Property::Found(text.into())
}

fn optional(value: Option<Vec<u8>>) -> Property {
    value.map_or(Property::Missing, Property::Found)
}

fn of_request(path: &str, exchange: &Exchange) -> Property {
    let header = |value: Option<&[u8]>| optional(value.map(<[u8]>::to_vec));
    if let Some(name) = path.strip_prefix("request.headers.") {
        return header(exchange.request_header(name));
    }
    if let Some(name) = path.strip_prefix("response.headers.") {
        return header(exchange.response_header(name));
    }
    let upstream = exchange.surroundings.upstream;
    match path {
        "request.id" => header(exchange.request_header("x-request-id")),
        "request.referer" => header(exchange.request_header("referer")),
        "request.time" => found(format!("{:.3}", exchange.begin_unix())),
        "upstream.address" => optional(upstream.map(|a| a.ip().to_string().into())),
        "upstream.port" => optional(upstream.map(|a| a.port().to_string().into())),
        "connection.id" => found("1"),
        "connection.mtls" => found("false"),
        _ => Property::Missing,
    }
}

fn of_kong(path: &str, exchange: &Exchange) -> Property {
    let around = &exchange.surroundings;
    match path {
        "kong.route_id" => return found(around.route.id.as_str()),
        "kong.service_id" => return found(around.service.id.as_str()),
        _ if !around.kong.all_properties => return Property::Missing,
        _ => {}
    }
    let json =
        |entity: &Named| serde_json::json!({ "id": entity.id, "name": entity.name }).to_string();
    match path {
        "kong.route_name" => found(around.route.name.as_str()),
        "kong.service_name" => found(around.service.name.as_str()),
        "kong.router.route" => found(json(&around.route)),
        "kong.router.service" => found(json(&around.service)),
        "kong.client.protocol" | "kong.request.forwarded_scheme" => found(exchange.scheme()),
        "kong.nginx.subsystem" => found("http"),
        "kong.node.id" => found(around.node.as_str()),
        "kong.request.forwarded_host" => {
            let host = exchange.request_header("host").unwrap_or_default();
            let name = String::from_utf8_lossy(host);
            found(name.split(':').next().unwrap_or_default())
        }
        "kong.request.forwarded_port" | "kong.request.port" => {
            found(around.server.port().to_string())
        }
        "kong.version" => found(around.kong.version),
        "kong.service.response.status" => optional(
            exchange
                .response
                .as_ref()
                .map(|r| r.status.to_string().into()),
        ),
        // Its getter calls a function that Kong does not have.
        "kong.response.source" => Property::Refused("attempt to call field 'get_source'".into()),
        _ => Property::Missing,
    }
}

/// `$name`, for the variables a filter could ask for. Present but empty is something else than missing.
fn nginx_variable(name: &str, exchange: &Exchange) -> Option<Vec<u8>> {
    let around = &exchange.surroundings;
    let tls = around.tls.as_ref();
    if let Some(header) = name.strip_prefix("http_") {
        return Some(exchange.request_header(&header.replace('_', "-"))?.to_vec());
    }
    let sent = name
        .strip_prefix("sent_http_")
        .or_else(|| name.strip_prefix("upstream_http_"));
    if let Some(header) = sent {
        return Some(
            exchange
                .response_header(&header.replace('_', "-"))?
                .to_vec(),
        );
    }
    let text = match name {
        "request_uri" => exchange.target.clone(),
        "uri" => exchange.normalised_path(),
        "args" => exchange.query().unwrap_or_default().to_owned(),
        "hostname" => "kong-node".to_owned(),
        "scheme" => exchange.scheme().to_owned(),
        "request_method" => exchange.method.clone(),
        "server_protocol" => exchange.protocol.clone(),
        "host" => {
            let host = String::from_utf8_lossy(exchange.request_header("host")?).into_owned();
            host.split(':').next().unwrap_or_default().to_lowercase()
        }
        "content_length" => {
            String::from_utf8_lossy(exchange.request_header("content-length")?).into_owned()
        }
        "content_type" => {
            String::from_utf8_lossy(exchange.request_header("content-type")?).into_owned()
        }
        "request_time" => format!("{:.3}", exchange.begin.elapsed().as_secs_f64()),
        "request_length" => exchange.request_length.to_string(),
        "status" => exchange
            .response
            .as_ref()
            .map_or(0, |r| r.status)
            .to_string(),
        "body_bytes_sent" => exchange.body_bytes_sent.to_string(),
        "bytes_sent" => (exchange.body_bytes_sent + 200).to_string(),
        "remote_addr" => around.client.ip().to_string(),
        "remote_port" => around.client.port().to_string(),
        "server_addr" => around.server.ip().to_string(),
        "server_port" => around.server.port().to_string(),
        "server_name" => around.server_name.clone(),
        "nginx_version" => around.kong.nginx.to_owned(),
        "pid" => std::process::id().to_string(),
        "https" => tls.map_or("", |_| "on").to_owned(),
        "ssl_protocol" => tls?.protocol.clone(),
        "ssl_cipher" => tls?.cipher.clone(),
        "ssl_server_name" => tls?.server_name.clone(),
        "ssl_client_verify" => tls.map(|_| "NONE")?.to_owned(),
        "upstream_addr" => around.upstream?.to_string(),
        "upstream_status" => exchange.response.as_ref()?.status.to_string(),
        "upstream_response_time" | "upstream_header_time" => {
            exchange.response.as_ref()?;
            format!("{:.3}", exchange.begin.elapsed().as_secs_f64())
        }
        _ => return None,
    };
    Some(text.into_bytes())
}
