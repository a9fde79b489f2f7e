//! The stand on which exchanges are looked at: a real nginx with locations of every kind, a real origin behind it, a
//! recording collector beside it. In: a path and curl's arguments. Out: what the client got and what was recorded.

// Each test program uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports)]

use anyhow::{Context, Result};
use silhouette_e2e::matrix::{Case, Front, Stand, Traits};
use silhouette_e2e::process::{free_port, wait_until};
use silhouette_e2e::recording::Recording;
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Nginx, Origin};
use silhouette_proto::telemetry::v1::Exchange;

pub use silhouette_e2e::exchange::{
    header, path, request_body, response_body, status, tempfile_with, text,
};
pub use silhouette_e2e::matrix::{CAP, PATIENCE};

pub struct Bench {
    pub nginx: Nginx,
    pub recording: Recording,
    pub origin: Origin,
    front: Front,
    _authority: Authority,
}

impl Bench {
    pub fn start() -> Result<Bench> {
        let recording = Recording::start()?;
        let origin = Origin::start()?;
        let authority = Authority::new()?;
        let identity = authority.server()?;
        let h2c_port = free_port()?;
        let nobody = free_port()?;
        let (back, hangup, collector) = (origin.address(), origin.hangup(), recording.url());
        let grpc = origin.grpc().address();
        let nginx = Nginx::start(1, |layout| {
            let dir = layout.dir.display();
            let html = layout.dir.join("html");
            let write = |name: &str, text: &str| std::fs::write(html.join(name), text);
            let _ = write(
                "page.json",
                &format!("{{\"static\":\"{}\"}}", "s".repeat(600)),
            );
            let _ = write("large.json", &format!("[{}1]", "1,".repeat(200_000)));
            let _ = write(
                "include.html",
                "{\"from\":\"<!--#include virtual=\"/part\" -->\"}",
            );
            let _ = write("file.json", "{\"accelerated\":true}");
            format!(
                r#"
log_format status '$request_uri $status $silhouette_status';
access_log {dir}/status.log status;
silhouette on;
silhouette_collector {collector};
silhouette_flush_interval_ms 20;
silhouette_max_request_body 4k;
silhouette_max_response_body 4k;
client_max_body_size 2m;
client_body_buffer_size 8k;
proxy_cache_path {dir}/cache keys_zone=answers:1m;
upstream books {{ server {back}; keepalive 8; }}
server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{h2c_port} http2;
    listen 127.0.0.1:{tls_port} ssl http2;
    server_name localhost other.example;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    default_type application/json;
    proxy_http_version 1.1;
    proxy_set_header Connection "";

    location / {{ proxy_pass http://books; }}
    location /ws {{ proxy_pass http://books; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}
    location = /gzip-here {{ gzip on; gzip_types application/json; gzip_min_length 1; proxy_pass http://books/json?size=2000; }}
    location /files/ {{ alias {dir}/html/; }}
    location = /ssi {{ ssi on; ssi_types *; alias {dir}/html/include.html; }}
    location = /mirrored {{ mirror /copy; proxy_pass http://books/echo; }}
    location = /copy {{ internal; proxy_pass http://books/upload; }}
    location = /framed {{ add_before_body /part; add_after_body /part; addition_types *; return 200 -; }}
    location /unbuffered/ {{ proxy_request_buffering off; proxy_buffering off; proxy_pass http://books/; }}
    location = /kept-in-file {{ client_body_in_file_only clean; proxy_pass http://books/upload; }}
    location /cached/ {{
        proxy_cache answers; proxy_cache_valid 200 1m; add_header X-Cache $upstream_cache_status; proxy_pass http://books/;
    }}
    location = /substituted {{
        sub_filter odd even; sub_filter_types *; sub_filter_once off; proxy_pass http://books/json;
    }}
    location = /unzipped {{ gunzip on; proxy_set_header Accept-Encoding gzip; proxy_pass http://books/gzip; }}
    location = /named {{ try_files /no/such/file @named; }}
    location @named {{ return 200 '{{"named":true}}'; }}
    location = /part {{ return 200 included; }}
    location = /returned {{ add_header X-Own yes; return 201 '{{"returned":true}}'; }}
    location = /moved {{ return 301 /elsewhere; }}
    location = /small {{ client_max_body_size 10; proxy_pass http://books/upload; }}
    location = /page-for-404 {{ proxy_intercept_errors on; error_page 404 =203 /fallback; proxy_pass http://books/status/404; }}
    location = /fallback {{ internal; return 200 '{{"fallback":true}}'; }}
    location = /down {{ proxy_pass http://127.0.0.1:{nobody}; }}
    location = /hangup {{ proxy_pass http://{hangup}; }}
    location /silhouette.telemetry.v1.TelemetryService/ {{ grpc_pass grpc://{grpc}; }}
    location = /private {{ auth_request /check; proxy_pass http://books/json; }}
    location = /check {{
        internal; proxy_pass http://books/auth; proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
    location /internal/ {{ internal; alias {dir}/html/; try_files /file.json =404; }}
    location /rewritten/ {{ rewrite ^/rewritten/(.*)$ /json?was=$1 last; }}
    location = /off {{ silhouette off; return 200 '{{}}'; }}
    location = /closed {{ return 444; }}
    location = /excluded {{ silhouette_excluded_statuses 4xx; return 404; }}
    location = /status {{ silhouette_status; }}
}}
"#,
                port = layout.port,
                tls_port = layout.tls_port,
                certificate = identity.certificate.display(),
                key = identity.key.display(),
            )
        })?;
        let traits = Traits {
            kind: "nginx",
            version: "nginx/",
            route: "/".to_owned(),
            upstream: "books".to_owned(),
            virtual_server: "localhost".to_owned(),
            server_address: true,
            upstream_address: true,
            upstream_time: true,
            cipher: true,
            own_headers: &["server"],
            request_body_up_to: None,
            websocket: true,
            grpc: true,
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
        };
        let front = Front {
            http: nginx.url(""),
            h2c: Some(format!("http://127.0.0.1:{h2c_port}")),
            tls: Some(nginx.tls_url("")),
            traits,
        };
        Ok(Bench {
            nginx,
            recording,
            origin,
            front,
            _authority: authority,
        })
    }

    /// Runs a case of the matrix on it.
    pub fn run(case: Case) -> Result<()> {
        case(&Bench::start()?.stand())
    }

    /// As the matrix sees it.
    pub fn stand(&self) -> Stand<'_> {
        Stand {
            front: &self.front,
            recording: &self.recording,
            origin: &self.origin,
        }
    }

    /// Runs curl on a path with further arguments, and waits for the exchange of that path to be recorded.
    pub fn exchange(
        &self,
        path: &str,
        arguments: &[&str],
    ) -> Result<(silhouette_e2e::Answer, Exchange)> {
        self.stand().exchange(path, arguments)
    }

    /// The one exchange recorded since the last [`Recording::clear`].
    pub fn only(&self) -> Result<Exchange> {
        self.stand().only()
    }

    /// Writes bytes to the plain port and reads until the server closes or `enough` says so.
    pub fn raw(&self, request: &[u8], enough: impl Fn(&str) -> bool) -> Result<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = self.stand().raw(request, |read| enough(&text(read)))?;
        Ok(text(&read))
    }

    /// Waits for a line of the log that shows `$silhouette_status`.
    pub fn logged(&self, line: &str) -> Result<()> {
        let path = self.nginx.layout().dir.join("status.log");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        wait_until(line, PATIENCE, || read().lines().any(|l| l == line)).with_context(read)
    }
}
