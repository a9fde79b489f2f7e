//! What never leaves the BIG-IP.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use silhouette_e2e::matrix::PATIENCE;

use super::Bench;

/// Every byte that went over HSL, and what is in it in base64, does not have this in it.
fn nowhere(bench: &Bench, secret: &str) -> Result<()> {
    let bytes = bench.log.bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("SIL1 "), "nothing was sent");
    let mut all = text.clone();
    for word in text.split_whitespace() {
        if let Ok(plain) = STANDARD.decode(word) {
            all.push_str(&String::from_utf8_lossy(&plain));
        }
    }
    assert!(!all.contains(secret), "{secret} is in {all}");
    Ok(())
}

#[test]
fn headers_on_the_deny_list_never_reach_the_wire() -> Result<()> {
    let bench = Bench::start(&[("redact_headers", "+x-house-secret")])?;
    let answer = bench.get(
        "/cookies",
        &[
            "-H",
            "Authorization: Bearer S3cretValue1",
            "-H",
            "aUTHORIZATION: Basic UzNjcmV0VmFsdWUy",
            "-H",
            "Cookie: session=S3cretValue3; theme=S3cretValue4",
            "-H",
            "X-API-Key:S3cretValue5",
            "-H",
            "My-Own-Token: S3cretValue6",
            "-H",
            "X-House-Secret: S3cretValue7",
            "-H",
            "X-House-Secret: S3cretValue8",
            "-H",
            "X-Plain: kept",
        ],
    )?;
    let cookies: Vec<&String> = answer
        .headers
        .iter()
        .filter(|(n, _)| n == "set-cookie")
        .map(|(_, v)| v)
        .collect();
    assert_eq!(cookies.len(), 2);
    let record = bench.log.only(PATIENCE)?;
    nowhere(&bench, "S3cretValue")?;
    nowhere(&bench, "UzNjcmV0VmFsdWUy")?;
    for cookie in cookies {
        let value = cookie.split(['=', ';']).nth(1).unwrap_or_default();
        nowhere(&bench, value)?;
    }
    // The lines are there, with what tells how the API is secured.
    let head = record.request_head()?;
    for kept in [
        "Authorization: Bearer ",
        "Basic ",
        "Cookie: session=",
        "; theme=",
        "X-API-Key:",
        "My-Own-Token:",
        "X-Plain: kept\r\n",
    ] {
        assert!(head.contains(kept), "{kept}: {head}");
    }
    assert_eq!(head.matches("X-House-Secret:").count(), 2, "{head}");
    assert_eq!(
        record
            .response_head()?
            .to_lowercase()
            .matches("set-cookie:")
            .count(),
        2
    );
    bench.bigip.clean()
}

#[test]
fn a_secret_that_goes_on_in_the_next_line_is_masked_whole() -> Result<()> {
    let bench = Bench::start(&[])?;
    let request = b"GET /json HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer S3cretValue1\r\n S3cretValue2\r\n\
        X-After: kept\r\nConnection: close\r\n\r\n";
    raw(&bench, request)?;
    let record = bench.log.only(PATIENCE)?;
    nowhere(&bench, "S3cretValue")?;
    assert!(record.request_head()?.contains("X-After: kept\r\n"));
    bench.bigip.clean()
}

#[test]
fn a_space_before_the_colon_hides_no_secret() -> Result<()> {
    let bench = Bench::start(&[])?;
    let request =
        b"GET /json HTTP/1.1\r\nHost: a.example\r\nAuthorization : Bearer S3cretValue1\r\n\
        Cookie\t: session=S3cretValue2\r\nX-After: kept\r\nConnection: close\r\n\r\n";
    raw(&bench, request)?;
    let record = bench.log.only(PATIENCE)?;
    nowhere(&bench, "S3cretValue")?;
    let head = record.request_head()?;
    for kept in [": Bearer x", ": session=x", "X-After: kept\r\n"] {
        assert!(head.contains(kept), "{kept}: {head}");
    }
    bench.bigip.clean()
}

#[test]
fn the_key_itself_is_never_sent_nor_logged() -> Result<()> {
    let bench = Bench::start(&[])?;
    bench.get("/json", &[])?;
    bench.log.only(PATIENCE)?;
    nowhere(&bench, silhouette_e2e::logpool::KEY.1)?;
    // Not in the log either, even when it is refused.
    bench.bigip.set("key", "silk not_a_key_S3cretValue")?;
    bench.settle()?;
    bench.get("/json", &[])?;
    let line = bench
        .bigip
        .logged(&["setting key", "not accepted"], PATIENCE)?;
    assert!(!line.contains("S3cretValue"), "{line}");
    bench.bigip.clean()
}

/// Writes bytes and reads until the server closes.
pub(crate) fn raw(bench: &Bench, request: &[u8]) -> Result<Vec<u8>> {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(bench.bigip.authority())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(request)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(answer)
}
