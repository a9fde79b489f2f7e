//! Bodies as nginx hands them to a filter: in pieces, in files, without an end.

use super::*;

#[test]
fn a_request_body_is_one_callback_and_gone_beyond_8k() -> Result<()> {
    let filter = Filter::new().on(
        "proxy_on_request_body",
        format!(
            "{}{} (i32.const 0)",
            text::say("(local.get 2)"),
            text::say_buffer(0, 0, 3)
        ),
    );
    for (size, said, errors) in [
        (3, "1777", 0),
        (8192, "1777", 0),
        (8193, "1", 1),
        (100_000, "1", 1),
    ] {
        let stand = Stand::new(&filter)?;
        let body = "7".repeat(size);
        let answer = stand.ask(
            "/upload",
            &[
                "-H",
                "Expect:",
                "-H",
                "Content-Type: text/plain",
                "-d",
                &body,
            ],
        )?;
        assert_eq!(
            answer.json()?["bytes"],
            size,
            "all of it reaches the origin"
        );
        assert_eq!(stand.said(), said, "{size}");
        let contents = stand.gateway.record().contents();
        assert_eq!(contents.spooled_reads, errors, "{size}");
        let lines = stand.gateway.record().lines(Level::Error);
        assert_eq!(
            lines
                .iter()
                .filter(|l| l.contains("buffered to file"))
                .count() as u64,
            errors
        );
    }
    let stand = Stand::new(&filter)?;
    stand.ask("/json", &[])?;
    assert_eq!(stand.said(), "", "no body, no callback");
    Ok(())
}

#[test]
fn the_end_of_a_response_body_is_often_withheld() -> Result<()> {
    // One digit per piece: is it the last?
    let filter = Filter::new().on(
        "proxy_on_response_body",
        format!("{} (i32.const 0)", text::say("(local.get 2)")),
    );
    let ends = |path: &str, arguments: &[&str]| -> Result<String> {
        let stand = Stand::new(&filter)?;
        let answer = stand.ask(path, arguments)?;
        ensure!(answer.exit == 0, "{}", answer.error);
        stand.gateway.record().is_clean()?;
        Ok(stand.said())
    };
    assert_eq!(ends("/bytes/100", &[])?, "1", "one piece");
    let several = ends("/bytes/100000", &[])?;
    assert!(
        several.len() > 3 && !several.contains('1'),
        "with Content-Length: {several}"
    );
    let chunked = ends("/chunked/100000", &[])?;
    assert!(
        chunked.ends_with("01") && chunked.matches('1').count() == 1,
        "without: {chunked}"
    );
    assert_eq!(ends("/empty", &[])?, "1");
    for (path, arguments) in [
        ("/json", &["--head"][..]),
        ("/status/204", &[]),
        ("/status/304", &[]),
    ] {
        assert_eq!(ends(path, arguments)?, "", "{path} has no body");
    }
    Ok(())
}

#[test]
fn pieces_of_a_response_are_4_to_26_kilobytes() -> Result<()> {
    let filter = Filter::new().on(
        "proxy_on_response_body",
        format!(
            "{} (i32.const 0)",
            text::say("(i32.div_u (local.get 1) (i32.const 4096))")
        ),
    );
    let stand = Stand::new(&filter)?;
    let answer = stand.ask("/bytes/200000", &[])?;
    assert_eq!(answer.body.len(), 200_000);
    let sizes = stand.said();
    assert!(
        sizes.len() > 5 && sizes.bytes().all(|b| b <= b'6'),
        "{sizes}"
    );
    Ok(())
}

#[test]
fn buffers_begin_at_the_beginning() -> Result<()> {
    let filter = Filter::new().on(
        "proxy_on_response_body",
        format!("{} (i32.const 0)", text::say_buffer(1, 10, 4)),
    );
    let stand = Stand::new(&filter)?;
    stand.ask("/bytes/26", &[])?;
    assert_eq!(stand.said(), "abcd");
    Ok(())
}

#[test]
fn buffers_belong_to_their_callbacks() -> Result<()> {
    for (callback, buffer) in [
        ("proxy_on_response_headers", 0),
        ("proxy_on_response_body", 0),
        ("proxy_on_request_headers", 1),
        ("proxy_on_response_headers", 1),
        ("proxy_on_request_headers", 4),
    ] {
        let filter = Filter::new().on(
            callback,
            format!("{} (i32.const 0)", text::say_buffer(buffer, 0, 10)),
        );
        let stand = Stand::new(&filter)?;
        let _ = stand.ask("/json", &["-d", "x"])?;
        let contents = stand.gateway.record().contents();
        assert_eq!(
            (contents.violations.len(), contents.traps.len()),
            (1, 1),
            "{callback} {buffer}"
        );
        assert!(
            contents.violations[0].contains("can only get"),
            "{:?}",
            contents.violations
        );
    }
    Ok(())
}
