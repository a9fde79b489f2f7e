//! Traffic of a shop front with every kind of parameter, header and credential.

use super::{Draw, Exchange};

/// When the first exchange happens, Unix milliseconds.
pub const START: u64 = 1_772_438_400_000;
/// Milliseconds between two exchanges.
pub const STEP: u64 = 1_000;

/// `n` exchanges; what they are only depends on the seed.
pub fn storefront(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let mut e = match i % 10 {
                0 | 1 => list(&mut d),
                2 => search(&mut d),
                3 => token(&mut d),
                4 => item(&mut d),
                5 => cancel(&mut d),
                6 => payouts(&mut d),
                7 => old(&mut d),
                8 => limited(&mut d),
                _ => session(&mut d),
            };
            e.millis = START + i as u64 * STEP;
            e
        })
        .collect()
}

fn answer(mut e: Exchange, headers: &[(&str, &str)]) -> Exchange {
    for (name, value) in headers {
        e.response_headers
            .push(((*name).into(), value.as_bytes().to_vec()));
    }
    e
}

fn list(d: &mut Draw) -> Exchange {
    let mut query = format!(
        "page[size]={}&page[number]={}",
        10 + d.below(90),
        d.below(9)
    );
    for (share, part) in [
        (2, format!("&ids={},{}", d.below(999), d.below(999))),
        (
            2,
            format!("&sort={}", d.of(&["name,-price", "price", "-price,name"])),
        ),
        (2, format!("&filter[status]={}", d.of(&["active", "sold"]))),
        (
            2,
            format!(
                "&filter[price][from]={}&filter[price][to]={}",
                d.below(9),
                10 + d.below(9)
            ),
        ),
        (2, "&tag=red&tag=new".to_owned()),
        (
            2,
            format!("&color={}", d.of(&["red|blue", "green|red", "blue"])),
        ),
        (2, format!("&where={{\"stock\":{}}}", d.below(50))),
        (2, "&pretty".to_owned()),
        (
            2,
            "&created_after=2026-01-0".to_owned() + &(1 + d.below(8)).to_string(),
        ),
        (3, format!("&range[{}]=1", d.below(900) + 100)),
    ] {
        if d.below(share) == 0 {
            query.push_str(&part);
        }
    }
    let e = Exchange::new("GET", "/v1/products", 200)
        .query(&query)
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .header("x-tenant", d.of(&["eu", "us"]))
        .json(&format!(
            "[{{\"id\":{},\"name\":\"thing {}\"}}]",
            d.below(999),
            d.below(999)
        ));
    answer(
        e,
        &[
            ("x-total-count", &d.below(5000).to_string()),
            ("link", "</v1/products?page[number]=2>; rel=\"next\""),
            ("etag", "\"abc\""),
            ("x-powered-by", "shop"),
        ],
    )
}

fn search(d: &mut Draw) -> Exchange {
    let q = d
        .of(&["red shoes", "hat", "blue, green", "scarf & gloves"])
        .replace(' ', "+")
        .replace('&', "%26");
    Exchange::new("GET", "/v1/products/search", 200)
        .query(&format!("q={q}&limit={}", d.below(50)))
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .header("cookie", "theme=dark; _ga=GA1.2.3; visits=3")
        .json("{\"hits\":[]}")
}

fn token(d: &mut Draw) -> Exchange {
    let form = match d.below(3) {
        0 => "grant_type=refresh_token&refresh_token=x",
        _ => "grant_type=client_credentials&scope=orders:read+orders:write",
    };
    Exchange::new("POST", "/oauth/token", 200)
        .header("authorization", "Basic dTpw")
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .sends("application/x-www-form-urlencoded", form)
        .json("{\"access_token\":\"x\",\"token_type\":\"bearer\"}")
}

fn item(d: &mut Draw) -> Exchange {
    let e = Exchange::new("GET", &format!("/v1/products/{}", d.below(9999)), 200)
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .json(&format!("{{\"id\":{}}}", d.below(9999)));
    if d.below(2) == 0 {
        e.header("authorization", "Bearer opaque")
    } else {
        e
    }
}

fn cancel(d: &mut Draw) -> Exchange {
    let e = Exchange::new("POST", &format!("/v1/orders/{}/cancel", d.uuid()), 202)
        .header(
            "authorization",
            "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln",
        )
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .header("idempotency-key", &d.uuid());
    answer(e, &[("location", "/v1/operations/7"), ("retry-after", "5")])
}

fn payouts(d: &mut Draw) -> Exchange {
    let mut e = Exchange::new("GET", "/v1/payouts", 200)
        .header("x-map-key", d.of(&["a", "b"]))
        .json("[]");
    e.certificate = true;
    e
}

fn old(d: &mut Draw) -> Exchange {
    let e = Exchange::new("GET", &format!("/v1/baskets/{}", d.below(99)), 200)
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .json("{}");
    answer(
        e,
        &[
            ("deprecation", "@1767225600"),
            ("sunset", "Wed, 31 Dec 2026 23:59:59 GMT"),
        ],
    )
}

fn limited(d: &mut Draw) -> Exchange {
    let e = Exchange::new("GET", "/v1/products", 429)
        .query("page[size]=ten&q=1&limit=x")
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .json("{\"error\":\"slow down\"}");
    let wait = d.below(60).to_string();
    answer(e, &[("retry-after", &wait), ("ratelimit-remaining", "0")])
}

fn session(d: &mut Draw) -> Exchange {
    let e = Exchange::new("PUT", "/v1/settings", 200)
        .header("x-store-key", "key_8sd7fk2jh3kj4h")
        .sends("application/json", "{\"a\":1}")
        .json("{\"a\":1}");
    match d.below(3) {
        0 => e.header("cookie", "sessionid=abc"),
        1 => e.header("authorization", "Digest username=\"a\""),
        _ => e
            .header("authorization", "Digest username=\"b\"")
            .header("cookie", "sessionid=abc"),
    }
}
