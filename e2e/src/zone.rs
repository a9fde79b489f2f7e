//! What stands around a Worker at Cloudflare: an edge in front of it, which clients meet, and a way from it to the zone's
//! origin. Played by a real nginx without our module.
//!
//! In: a Worker's workerd, the origin and the collector. Out: addresses for clients, in HTTP/1, HTTP/2 and TLS. As Cloudflare
//! does, it tells the Worker of the client in `CF-Connecting-IP` and of the connection in `request.cf`, replaces
//! `Accept-Encoding`, and answers by itself when the origin is away. Never changes a path, a body or an answer.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::Value;

use crate::process::free_port;
use crate::tls::Authority;
use crate::workerd::{CF_HEADER, SCHEME_HEADER, Setup, Way, Workerd};
use crate::{Nginx, Origin};

/// The host under which the Worker reaches the collector.
pub const COLLECTOR: &str = "collector.test";
/// The data centre.
pub const COLO: &str = "FRA";

/// `request.cf`, in nginx's variables.
const CF: &str = concat!(
    r#"{"colo":"FRA","country":"DE","asn":64496,"httpProtocol":"$cf_protocol","tlsVersion":"$ssl_protocol","#,
    r#""tlsCipher":"$ssl_cipher","clientAcceptEncoding":"$http_accept_encoding","botManagement":{"score":30,"verifiedBot":false},"#,
    r#""tlsClientAuth":{"certPresented":"$cf_presented","certVerified":"$ssl_client_verify"}}"#
);

/// A running Worker in its zone.
#[derive(Debug)]
pub struct Zone {
    nginx: Nginx,
    workerd: Workerd,
    h2c_port: u16,
}

impl Zone {
    /// Starts both; TLS with certificates of `authority` on both sides, clients need none. Everything goes to the origin, apart from `/down`, where nobody listens, and `/hangup`. `settings` are
    /// those of [`Setup::capturing`], without `SILHOUETTE_` in front.
    ///
    /// # Errors
    /// When one does not start, with what it says.
    pub fn start(
        origin: &Origin,
        collector: SocketAddr,
        authority: &Authority,
        settings: &Value,
    ) -> Result<Zone> {
        let identity = authority.server()?;
        let (behind, h2c_port) = (free_port()?, free_port()?);
        let url = format!("http://{COLLECTOR}");
        let mut setup = Setup::capturing(&url, origin.address(), settings)?;
        setup.vars.remove("SILHOUETTE_ORIGIN");
        setup.outbound = Way::Server(([127, 0, 0, 1], behind).into());
        let workerd = Workerd::start(&setup)?;
        let nobody = free_port()?;
        let (worker, back, hangup) = (workerd.address(), origin.address(), origin.hangup());
        let nginx = Nginx::start_without_module(1, |layout| {
            format!(
                r#"
map $http_upgrade $upgrading {{ default upgrade; "" ""; }}
map $server_protocol $cf_protocol {{ default $server_protocol; HTTP/2.0 HTTP/2; }}
map $ssl_client_verify $cf_presented {{ default 1; "" 0; NONE 0; }}
upstream worker {{ server {worker}; keepalive 64; }}
upstream origin {{ server {back}; keepalive 64; }}
client_max_body_size 0;
proxy_http_version 1.1;
proxy_buffering off;
proxy_request_buffering off;
proxy_pass_header Server;
proxy_pass_header Date;
proxy_pass_header X-Accel-Redirect;
proxy_ignore_headers X-Accel-Redirect X-Accel-Buffering;
proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $upgrading;
server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{h2c_port} http2;
    listen 127.0.0.1:{tls_port} ssl http2;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {authority};
    ssl_verify_client optional;
    location / {{
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgrading;
        proxy_set_header Accept-Encoding "gzip, br";
        proxy_set_header CDN-Loop "cloudflare; loops=1";
        proxy_set_header CF-Connecting-IP $remote_addr;
        proxy_set_header CF-IPCountry DE;
        proxy_set_header CF-Ray "$request_id-{COLO}";
        proxy_set_header CF-Visitor '{{"scheme":"$scheme"}}';
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header {SCHEME_HEADER} $scheme;
        proxy_set_header {CF_HEADER} '{CF}';
        proxy_pass http://worker;
    }}
}}
server {{
    listen 127.0.0.1:{behind} default_server;
    location / {{ proxy_pass http://origin; }}
    location = /down {{ proxy_pass http://127.0.0.1:{nobody}; }}
    location = /hangup {{ proxy_pass http://{hangup}; }}
}}
server {{
    listen 127.0.0.1:{behind};
    server_name {COLLECTOR};
    location / {{ proxy_pass http://{collector}; }}
}}
"#,
                port = layout.port,
                tls_port = layout.tls_port,
                certificate = identity.certificate.display(),
                key = identity.key.display(),
                authority = authority.ca_file().display(),
            )
        })?;
        Ok(Zone {
            nginx,
            workerd,
            h2c_port,
        })
    }

    /// `http://127.0.0.1:PORT` + path.
    pub fn url(&self, path: &str) -> String {
        self.nginx.url(path)
    }

    /// `http://127.0.0.1:PORT` + path: HTTP/2 by prior knowledge.
    pub fn h2c_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.h2c_port)
    }

    /// `https://localhost:PORT` + path.
    pub fn tls_url(&self, path: &str) -> String {
        self.nginx.tls_url(path)
    }

    /// The Worker itself.
    pub fn workerd(&self) -> &Workerd {
        &self.workerd
    }
}
