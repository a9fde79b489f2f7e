use super::*;

/// The exchange as one line per fact, or why there is none.
fn show(json: &str) -> String {
    Exchange::parse(json.as_bytes(), |exchange| match exchange {
        Err(reason) => format!("left out: {}", reason.as_str()),
        Ok(exchange) => exchange.observe(0, |o| {
            let mut out = format!(
                "{} {} {}://{} {}",
                o.method, o.status, o.scheme, exchange.authority, o.path
            );
            if let Some(query) = o.query {
                out.push_str(&format!(" ?{query}"));
            }
            if o.unix_millis > 0 {
                out.push_str(&format!(" at {}", o.unix_millis));
            }
            if let Some(micros) = o.duration_micros {
                out.push_str(&format!(" took {micros}"));
            }
            for (side, message) in [("<", o.request), (">", o.response)] {
                for (name, value) in message.headers {
                    out.push_str(&format!(
                        "\n{side} {name}: {}",
                        String::from_utf8_lossy(value)
                    ));
                }
                let body = message.body;
                if !body.is_empty() || !body.complete {
                    let cut = if body.complete { "" } else { " cut" };
                    out.push_str(&format!(
                        "\n{side} {}{cut} {:?}",
                        body.original_size,
                        String::from_utf8_lossy(body.bytes)
                    ));
                }
            }
            if exchange.unread_bodies > 0 {
                out.push_str(&format!("\nunread {}", exchange.unread_bodies));
            }
            out
        }),
    })
    .unwrap_or_else(|error| format!("error: {error}"))
}

fn check(json: &str, expected: &str) {
    assert_eq!(show(json), expected, "{json}");
}

/// A GET of `https://a.test/x` with these members added to its response.
fn response(members: &str) -> String {
    format!(
        r#"{{"request":{{"method":"GET","url":"https://a.test/x"}},"response":{{"status":200{members}}}}}"#
    )
}

/// A POST to `https://a.test/x` with these members added to its request.
fn request(members: &str) -> String {
    format!(
        r#"{{"request":{{"method":"POST","url":"https://a.test/x"{members}}},"response":{{"status":201}}}}"#
    )
}

#[test]
fn an_entry_as_the_specification_has_it() {
    check(
        r#"{"startedDateTime":"2026-03-02T08:00:00.250+01:00","time":12.5,
            "request":{"method":"POST","url":"https://api.example.com:8443/v1/books?page=2&q=%20#top","httpVersion":"HTTP/1.1",
              "headers":[{"name":"Accept","value":"*/*"},{"name":"Content-Type","value":"application/json"}],
              "postData":{"mimeType":"application/json","text":"{\"a\":1}"},"bodySize":7,"headersSize":-1},
            "response":{"status":200,"headers":[{"name":"X-A","value":"1"},{"name":"X-A","value":"2"}],
              "content":{"size":2,"mimeType":"application/json","text":"[]"},"bodySize":-1},"cache":{},"timings":{}}"#,
        "POST 200 https://api.example.com:8443 /v1/books ?page=2&q=%20 at 1772434800250 took 12500\n\
         < accept: */*\n< content-type: application/json\n< 7 \"{\\\"a\\\":1}\"\n\
         > x-a: 1\n> x-a: 2\n> content-type: application/json\n> 2 \"[]\"",
    );
}

#[test]
fn what_recorders_leave_out_or_write_oddly_is_taken() {
    // HTTP/2 pseudo headers, and values Chrome joins.
    check(
        r#"{"request":{"method":"get","url":"https:\/\/a.test","httpVersion":"h2",
             "headers":[{"name":":authority","value":"a.test"},{"name":":path","value":"/"}]},
            "response":{"status":"200","headers":[{"name":"set-cookie","value":"a=1\nb=2"},{"name":"","value":"x"}]},"time":-1}"#,
        "GET 200 https://a.test /\n> set-cookie: a=1\n> set-cookie: b=2",
    );
    // A URL without host, a scheme in a pseudo header.
    check(
        r#"{"request":{"method":"GET","url":"/v1?x","headers":{"Host":"a.test:81"}},"response":{"status":204}}"#,
        "GET 204 http://a.test:81 /v1 ?x\n< host: a.test:81",
    );
    check(
        r#"{"request":{"method":"GET","url":"wss://u:p@a.test?t=1"},"response":{"status":101}}"#,
        "GET 101 https://a.test / ?t=1",
    );
    check(
        &response(r#","redirectURL":"/y","headers":null,"content":null"#),
        "GET 200 https://a.test /x",
    );
    check(
        r#"{"request":{"method":"GET","url":"http://a.test/x"},"response":{"status":302,"redirectURL":"/y"}}"#,
        "GET 302 http://a.test /x\n> location: /y",
    );
    // Half a character, bytes that are no UTF-8, a raw line feed.
    check(
        &response(",\"content\":{\"text\":\"a\\ud83d\nb\"}"),
        "GET 200 https://a.test /x\n> 6 \"a\u{fffd}\\nb\"",
    );
}

#[test]
fn times_are_read_in_the_forms_recorders_write() {
    for (time, expected) in [
        ("2026-03-02T08:00:00Z", Some(1_772_438_400_000)),
        ("2026-03-02T09:00:00.000+0100", Some(1_772_438_400_000)),
        (
            "2026-03-02T08:00:00.123456789+00:00",
            Some(1_772_438_400_123),
        ),
        ("2026-03-02 08:00:00", Some(1_772_438_400_000)),
        ("2026-03-02T08:00:00", Some(1_772_438_400_000)),
        ("1969-12-31T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
    ] {
        assert_eq!(unix_millis(time), expected, "{time:?}");
    }
}

#[test]
fn what_is_no_exchange_is_left_out_by_reason() {
    check("{}", "left out: no_request");
    check(
        r#"{"request":{"method":"","url":"https://a.test/"},"response":{"status":200}}"#,
        "left out: no_request",
    );
    check(
        r#"{"request":{"method":"GET","url":"https://a.test/"}}"#,
        "left out: no_response",
    );
    for status in ["0", "-1", "null", "1000"] {
        check(
            &response("").replace("200", status),
            "left out: no_response",
        );
    }
    for url in [
        "data:text/plain,hi",
        "blob:https://a.test/1",
        "chrome-extension://abc/x.js",
        "about:blank",
        "//a.test/x",
    ] {
        check(
            &response("").replace("https://a.test/x", url),
            "left out: not_http",
        );
    }
    assert!(show("{\"request\":").starts_with("error: "));
}

#[test]
fn bodies_in_base64_are_decoded() {
    for text in [
        "eyJhIjoi/z8ifQ==",
        "eyJhIjoi_z8ifQ",
        "eyJhIjoi\\r\\n/z8ifQ==\\n",
    ] {
        let json = response(&format!(
            r#","content":{{"encoding":"base64","size":-1,"text":"{text}"}}"#
        ));
        check(
            &json,
            "GET 200 https://a.test /x\n> 10 \"{\\\"a\\\":\\\"\u{fffd}?\\\"}\"",
        );
    }
    let broken = response(r#","content":{"encoding":"base64","size":9,"text":"%%%"}"#);
    check(&broken, "GET 200 https://a.test /x\n> 9 cut \"\"\nunread 1");
    let post =
        request(r#","postData":{"mimeType":"text/plain","_encoding":"base64","text":"aGk="}"#);
    check(
        &post,
        "POST 201 https://a.test /x\n< content-type: text/plain\n< 2 \"hi\"",
    );
}

#[test]
fn bodies_left_compressed_are_decompressed() {
    // `hello` behind gzip.
    let text = "H4sIAAAAAAACA8tIzcnJBwCGphA2BQAAAA==";
    let headers = r#""headers":[{"name":"Content-Encoding","value":"gzip"}]"#;
    let json = response(&format!(
        r#",{headers},"content":{{"encoding":"base64","text":"{text}"}}"#
    ));
    check(
        &json,
        "GET 200 https://a.test /x\n> content-encoding: gzip\n> 5 \"hello\"",
    );
    // The usual case: the header tells how it travelled, the text is decoded already.
    let json = response(&format!(r#",{headers},"content":{{"text":"hello"}}"#));
    check(
        &json,
        "GET 200 https://a.test /x\n> content-encoding: gzip\n> 5 \"hello\"",
    );
}

#[test]
fn a_body_that_is_not_there_or_cut_is_not_whole() {
    check(
        &response(r#","content":{"size":9}"#),
        "GET 200 https://a.test /x\n> 9 cut \"\"",
    );
    check(
        &response(r#","content":{"size":0,"mimeType":"x-unknown","text":""}"#),
        "GET 200 https://a.test /x",
    );
    check(
        &request(r#","bodySize":12"#),
        "POST 201 https://a.test /x\n< 12 cut \"\"",
    );
    let json = |size: u32, text: &str| {
        response(&format!(
            r#","content":{{"size":{size},"mimeType":"application/json","text":"{text}"}}"#
        ))
    };
    let kind = "GET 200 https://a.test /x\n> content-type: application/json\n";
    check(&json(9, "[1,"), &format!("{kind}> 9 cut \"[1,\""));
    // Shorter than its size only because its characters are.
    check(&json(9, "[1]"), &format!("{kind}> 9 \"[1]\""));
}

#[test]
fn form_fields_become_the_body_they_came_from() {
    let params = r#""params":[{"name":"a b","value":"1&2"},{"name":"c","value":null}]"#;
    check(
        &request(&format!(
            r#","postData":{{"mimeType":"application/x-www-form-urlencoded",{params}}}"#
        )),
        "POST 201 https://a.test /x\n< content-type: application/x-www-form-urlencoded\n< 12 \"a+b=1%262&c=\"",
    );
    let params = r#""params":[{"name":"f","fileName":"a\".txt","contentType":"text/plain","value":"hi"},{"name":"n","value":"1"}]"#;
    check(
        &request(&format!(
            r#","postData":{{"mimeType":"multipart/form-data",{params}}}"#
        )),
        "POST 201 https://a.test /x\n< content-type: multipart/form-data; boundary=silhouette-boundary\n< 213 \
         \"--silhouette-boundary\\r\\nContent-Disposition: form-data; name=\\\"f\\\"; filename=\\\"a%22.txt\\\"\\r\\n\
         Content-Type: text/plain\\r\\n\\r\\nhi\\r\\n--silhouette-boundary\\r\\nContent-Disposition: form-data; \
         name=\\\"n\\\"\\r\\n\\r\\n1\\r\\n--silhouette-boundary--\\r\\n\"",
    );
}
