//! What judges the pages in a browser, judged itself: pages with one fault each are refused for that fault, a good one passes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use serde_json::json;
use silhouette_e2e::browser;

/// A page that is right in every way, with `extra` in it.
fn page(extra: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><title>A page</title><meta name=\"viewport\" content=\"width=device-width\">\
         <link rel=\"icon\" href=\"data:,\"></head><body><main><h1>A page</h1>\
         <button onclick=\"this.after('pressed')\">Press</button>{extra}</main></body></html>"
    )
}

/// Name, what is wrong with it, and what the refusal must say.
const FAULTS: [(&str, &str, &str); 8] = [
    (
        "script",
        "<script>nothing.there()</script>",
        "nothing is not defined",
    ),
    (
        "log",
        "<script>console.error('went wrong')</script>",
        "console: went wrong",
    ),
    (
        "image",
        "<img src=\"/none.png\" alt=\"\">",
        "answer 404: GET",
    ),
    (
        "outside",
        "<img src=\"http://192.0.2.1/pixel.png\" alt=\"\">",
        "leaves this machine: GET http://192.0.2.1/pixel.png",
    ),
    ("label", "<input type=\"text\">", "axe: critical label"),
    (
        "contrast",
        "<p style=\"color:#bbb;background:#fff\">Hard to read</p>",
        "axe: serious color-contrast",
    ),
    (
        "dark",
        "<style>@media (prefers-color-scheme: dark) { body { background: #222 } h1 { color: #333 } }</style>",
        "dark: axe: serious color-contrast",
    ),
    (
        "wide",
        "<div style=\"width:500px\">Wide</div>",
        "pixels wide on a screen of 360",
    ),
];

async fn strict() -> impl IntoResponse {
    let policy = [(
        "content-security-policy",
        "default-src 'self'; img-src data:",
    )];
    (policy, Html(page("<script>1</script>")))
}

#[test]
fn each_fault_of_a_page_is_found_and_a_good_page_has_none() -> Result<()> {
    let mut router = Router::new()
        .route("/good", get(async || Html(page(""))))
        .route("/policy", get(strict))
        .fallback(async || (StatusCode::NOT_FOUND, Html(page("not here"))));
    for (name, fault, _) in FAULTS {
        router = router.route(&format!("/{name}"), get(async move || Html(page(fault))));
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let (listener, address) = runtime.block_on(async {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = tokio::net::TcpListener::bind(any).await?;
        let address = listener.local_addr()?;
        anyhow::Ok((listener, address))
    })?;
    runtime.spawn(async move { axum::serve(listener, router).await });

    let url = |name: &str| format!("http://{address}/{name}");
    let mut pages = vec![json!({"name": "good", "url": url("good")})];
    for name in FAULTS.iter().map(|fault| fault.0).chain(["policy"]) {
        pages.push(json!({"name": name, "url": url(name)}));
    }
    let given = json!({"pages": pages, "missing": url("nowhere")});
    let result = browser::run("judges", given, |what, with| match what {
        "double" => Ok(json!(with.as_i64().context("a number")? * 2)),
        _ => bail!("nobody can do that"),
    });
    let refusal = result.expect_err("most pages are wrong").to_string();
    println!("{refusal}");
    let section = |name: &str| {
        let mut sections = refusal.split("\n\n");
        sections.find(|text| text.starts_with(&format!("{name}:\n")))
    };
    for (name, _, must) in FAULTS {
        let said = section(name).with_context(|| format!("{name} passed"))?;
        assert!(said.contains(must), "{name}: {must} is not in:\n{said}");
    }
    let policy = section("policy").context("a violated policy passed")?;
    assert!(policy.contains("Content Security Policy"), "{policy}");
    let error = section("an answer that is an error fails the step").context("it passed")?;
    assert!(error.contains("nobody can do that"), "{error}");
    let absent = section("what is expected has to come").context("it passed")?;
    assert!(absent.contains("did not come"), "{absent}");
    let count = FAULTS.len() + 3;
    assert!(
        refusal.starts_with(&format!("{count} of {} steps", count + 4)),
        "{refusal}"
    );
    Ok(())
}
