//! Bodies that are no JSON: forms with files, tables, streams, binary formats.

use super::{Draw, Exchange};

const PROTOBUF: &str = "application/x-protobuf";
const GRPC_WEB: &str = "application/grpc-web+proto";

fn upload(d: &mut Draw) -> String {
    let part = |head: &str, body: &str| {
        format!("--xYzZy\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
    };
    let mut out = part("name=\"album\"", &format!("A{}", d.next()));
    out += &part(
        "name=\"details\"\r\nContent-Type: application/json",
        &format!(
            "{{\"public\":{},\"order\":{},\"code\":\"{}\"}}",
            d.below(2) == 0,
            d.below(90),
            d.below(9000)
        ),
    );
    for _ in 0..1 + d.below(3) {
        let kind = d.of(&["png", "jpeg"]);
        out += &part(
            &format!("name=\"photo\"; filename=\"p.{kind}\"\r\nContent-Type: image/{kind}"),
            "",
        );
    }
    out += &part(
        "name=\"licence\"; filename=\"l.pdf\"\r\nContent-Type: application/pdf",
        "",
    );
    out + "--xYzZy--\r\n"
}

/// `n` exchanges.
pub fn media(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| match i % 7 {
            0 => Exchange::new("POST", "/photos", 201)
                .sends("multipart/form-data; boundary=xYzZy", &upload(&mut d))
                .json(&format!("{{\"id\":{}}}", d.below(900))),
            1 => Exchange::new("POST", "/searches", 200)
                .sends(
                    "application/x-www-form-urlencoded",
                    &format!("tag=a{}&tag=b&page={}", d.below(9), d.below(90)),
                )
                .json("[]"),
            2 => Exchange::new("GET", "/report", 200).answers(
                "text/csv; charset=utf-8",
                &format!(
                    "id,full name,born\r\n{},Ada Lovelace,1815-12-10\r\n",
                    d.below(90)
                ),
            ),
            3 => Exchange::new("GET", "/events", 200).answers(
                "text/event-stream",
                &format!("event: tick\ndata: {}\n\n", d.below(90)),
            ),
            4 => Exchange::new("POST", "/bulk", 200)
                .sends(
                    "application/x-ndjson",
                    &format!("{{\"a\":{}}}\n{{\"a\":1}}\n", d.below(90)),
                )
                .answers("application/x-ndjson", "{\"ok\":true}\n"),
            5 => Exchange::new("POST", "/shop.v1.Catalog/Find", 200)
                .sends(GRPC_WEB, "\u{0}\u{0}\u{0}\u{0}\u{1}a")
                .answers(GRPC_WEB, "\u{0}\u{0}\u{0}\u{0}\u{1}a"),
            _ => Exchange::new("POST", "/metrics", 202).sends(PROTOBUF, "\u{8}\u{1}"),
        })
        .collect()
}
