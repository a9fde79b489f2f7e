//! Secrets that pass the gateway are found nowhere: not in the journal, the models, the documents or the logs.

use std::path::Path;

use anyhow::{Context, Result};
use silhouette_e2e::bookshop::{self, Bookshop};
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::{Collector, Nginx, Origin, curl};

const SECRETS: [&str; 9] = [
    "hK7aBearerSecret91xQ",
    "cookieSecretZ8812mm",
    "queryTokenSecret5521",
    "jsonPasswordSecret773",
    "formPasswordSecret118",
    "setCookieSecretAA44",
    "basicAuthSecretPW39",
    "nestedSecretValue6060",
    "apiKeySecretTT8281",
];

/// Not a secret: that it is found shows that looking works.
const MARKER: &str = "plainMarkerValue4242";

fn files_with(dir: &Path, needle: &str, found: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files_with(&path, needle, found)?;
        } else if std::fs::read(&path)?
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    Ok(())
}

#[test]
fn secrets_are_found_nowhere() -> Result<()> {
    let [
        bearer,
        cookie,
        query,
        json,
        form,
        set_cookie,
        basic,
        nested,
        key,
    ] = SECRETS;
    let origin = Origin::start()?;
    let shop = Bookshop::start()?;
    let mut collector = Collector::start(&["--checkpoint-interval", "1h", "--log", "debug"])?;
    let nginx = Nginx::start(1, |layout| {
        // Headers of the gateway's own are the client's to see, and secret all the same.
        let more = format!(
            "access_log off; add_header Set-Cookie \"session={set_cookie}; HttpOnly\" always; \
             add_header X-Api-Key {key} always;"
        );
        let config = capturing(layout, &collector.url(), &origin.url(""), &more);
        config.replacen(
            "location / {",
            &format!(
                "location /api/ {{ proxy_pass {}; }} location / {{",
                shop.url()
            ),
            1,
        )
    })?;
    let url = |path: &str| nginx.url(path);
    let header = |name: &str, value: &str| format!("{name}: {value}");
    let json_body = format!(
        r#"{{"name":"{MARKER}","password":"{json}","login":{{"credentials":{{"secret":["{nested}"]}}}},"api_key":"{key}"}}"#
    );
    let form_body = format!("user=someone&password={form}&note={MARKER}");
    let calls: [Vec<String>; 6] = [
        vec![
            "-H".into(),
            header("Authorization", &format!("Bearer {bearer}")),
            url("/json?n=1"),
        ],
        vec![
            "-H".into(),
            header("Cookie", &format!("sid={cookie}; theme=dark")),
            url("/json?n=2"),
        ],
        vec![url(&format!("/json?token={query}&api_key={key}&page=2"))],
        vec![
            "-H".into(),
            "Content-Type: application/json".into(),
            "-d".into(),
            json_body,
            url("/upload"),
        ],
        vec!["-d".into(), form_body, url("/upload")],
        vec![
            "-u".into(),
            format!("user:{basic}"),
            "-H".into(),
            header("X-Api-Key", key),
            url("/json?n=6"),
        ],
    ];
    for call in &calls {
        assert_eq!(curl(call)?.status, 200);
    }
    // An answer that is a secret itself: a login's token. Its signature is as good as a password.
    let (email, password) = bookshop::CUSTOMER;
    let login = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
    let answer = curl([
        "-H",
        "Content-Type: application/json",
        "-d",
        &login,
        &url("/api/v1/auth/login"),
    ])?
    .json()?;
    let token = answer["accessToken"].as_str().context("a token")?;
    let signature = token
        .rsplit('.')
        .next()
        .context("a JWT has three parts")?
        .to_owned();
    let authorization = header("Authorization", &format!("Bearer {token}"));
    assert_eq!(
        curl(["-H", &authorization, &url("/api/v1/me")])?.status,
        200
    );
    let secrets: Vec<&str> = SECRETS
        .into_iter()
        .chain([password, signature.as_str()])
        .collect();
    let shim = nginx.drained(8, PATIENCE)?;
    assert_eq!(shim.get("acknowledged"), 8, "{shim:?}");
    wait_until("all are learnt", PATIENCE, || {
        collector
            .metric("silhouette_exchanges_pending", "")
            .is_ok_and(|n| n == 0.0)
            && collector
                .metric("silhouette_exchanges_acknowledged_total", "")
                .is_ok_and(|n| n == 8.0)
    })?;

    let look = |collector: &Collector, when: &str| -> Result<()> {
        for secret in &secrets {
            let mut found = Vec::new();
            files_with(collector.data_dir(), secret, &mut found)?;
            assert!(found.is_empty(), "{when}: {secret} is in {found:?}");
            assert!(
                !collector.log().contains(secret),
                "{when}: {secret} is in the collector's log"
            );
            assert!(
                !nginx.error_log().contains(secret),
                "{when}: {secret} is in nginx's error log"
            );
        }
        Ok(())
    };
    let mut found = Vec::new();
    files_with(collector.data_dir(), MARKER, &mut found)?;
    assert!(
        !found.is_empty(),
        "the journal holds what is no secret, or this test looks in the wrong place"
    );
    look(&collector, "in the journal")?;
    let host = format!("127.0.0.1:{}", nginx.layout().port);
    for kind in ["json", "yaml"] {
        let document = collector
            .get(&format!("/v1/hosts/{host}/openapi.{kind}"))?
            .text();
        assert!(
            document.contains("/json") && document.contains("/api/v1/me"),
            "{document}"
        );
        for secret in secrets.iter().chain(&[MARKER]) {
            assert!(
                !document.contains(secret),
                "{secret} is in the document:\n{document}"
            );
        }
    }
    for path in ["/metrics", "/v1/hosts", "/v1/shims", "/"] {
        let page = collector.get(path)?.text();
        assert!(
            secrets.iter().all(|secret| !page.contains(secret)),
            "a secret is on {path}"
        );
    }
    // At its end the collector writes the models to its store.
    collector.terminate()?;
    look(&collector, "in the store")
}
