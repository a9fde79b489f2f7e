//! What `drift` finds between a description and traffic, and what it leaves open.

use silhouette_openapi::{Description, drift};

fn read(paths: &str) -> Description {
    Description::read(&format!(
        "openapi: 3.1.0\ninfo: {{title: t, version: '1'}}\n{paths}"
    ))
    .unwrap()
}

fn check(documented: &str, observed: &str, expected: &[&str]) {
    let report = drift(&read(documented), &read(observed));
    let lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| {
            let operations = finding.operations.join(", ");
            format!("{} [{operations}] {}", finding.rule, finding.message)
        })
        .collect();
    assert_eq!(lines, expected, "\n{documented}\n{observed}");
}

/// An operation with nothing but path parameters, of one type.
fn paths(list: &[(&str, &str)]) -> String {
    let mut out = String::from("paths:\n");
    for (path, kind) in list {
        let names = path
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next());
        let parameters: Vec<String> = names
            .map(|name| format!("{{name: {name}, in: path, required: true, schema: {kind}}}"))
            .collect();
        out.push_str(&format!(
            "  '{path}':\n    get: {{parameters: [{}], responses: {{}}}}\n",
            parameters.join(", ")
        ));
    }
    out
}

const TEXT: &str = "{type: string}";

#[test]
fn shadow_zombie_and_orphan() {
    check(
        "paths: {/a: {get: {deprecated: true, responses: {}}}, /b: {get: {responses: {}}}, /c: {get: {responses: {}}}}",
        "paths: {/a: {get: {x-silhouette: {calls: 3, lastSeen: '2026-03-02T08:00:00Z'}, responses: {}}}, /b: {post: {x-silhouette: {calls: 1}, responses: {}}, get: {responses: {}}}, /d: {get: {responses: {}}}}",
        &[
            "shadow-method [POST /b] it is called (1 call); the description has the path `/b`, not with POST",
            "shadow-operation [GET /d] it is called and is not in the description",
            "zombie-operation [GET /a] it is deprecated and still called (3 calls, last 2026-03-02T08:00:00Z)",
            "orphan-operation [GET /c] it was never called",
        ],
    );
}

#[test]
fn names_slashes_and_encoding_make_no_difference() {
    check(
        &paths(&[("/b/{isbn}/", TEXT), ("/caf%C3%A9", TEXT)]),
        &paths(&[("/b/{bookId}", TEXT), ("/café", TEXT)]),
        &[],
    );
}

#[test]
fn a_constant_is_the_parameter_it_could_be_a_value_of() {
    let seen = paths(&[("/users/me", TEXT), ("/users/{id}", "{type: integer}")]);
    check(&paths(&[("/users/{id}", TEXT)]), &seen, &[]);
    check(
        &paths(&[("/users/{id}", TEXT), ("/users/me", TEXT)]),
        &seen,
        &[],
    );
    // A word is no integer, and not one of a list.
    check(
        &paths(&[("/users/{id}", "{type: integer}")]),
        &seen,
        &["shadow-operation [GET /users/me] it is called and is not in the description"],
    );
    check(
        &paths(&[("/r/{kind}", "{enum: [daily, weekly]}")]),
        &paths(&[("/r/daily", TEXT), ("/r/yearly", TEXT)]),
        &["shadow-operation [GET /r/yearly] it is called and is not in the description"],
    );
}

#[test]
fn a_parameter_over_constants_tells_of_none_for_sure() {
    check(
        &paths(&[("/r/daily", TEXT), ("/r/weekly", TEXT)]),
        &paths(&[("/r/{r}", TEXT)]),
        &[
            "uncertain-operation [GET /r/daily] calls to it may be among those of `/r/{r}`: the traffic does not tell",
            "uncertain-operation [GET /r/weekly] calls to it may be among those of `/r/{r}`: the traffic does not tell",
        ],
    );
    check(
        &paths(&[("/b/top", TEXT), ("/b/{isbn}", TEXT)]),
        &paths(&[("/b/{id}", TEXT)]),
        &[
            "uncertain-operation [GET /b/top] calls to it may be among those of `/b/{id}`: the traffic does not tell",
        ],
    );
}

#[test]
fn base_paths_are_found_where_gateways_move_them() {
    let documented = |url: &str| {
        format!(
            "servers: [{{url: '{url}'}}]\n{}",
            paths(&[("/a", TEXT), ("/b/{id}", TEXT)])
        )
    };
    let seen = paths(&[("/api/v1/a", TEXT), ("/api/v1/b/{x}", TEXT)]);
    check(&documented("https://x.test/api/v1"), &seen, &[]);
    check(&documented("https://{e}.x.test/api/v1/"), &seen, &[]);
    check(
        &documented("https://x.test/v1"),
        &seen,
        &[
            "base-path-differs [] the traffic has the described paths below `/api/v1`, the servers say `/v1`",
        ],
    );
}

#[test]
fn head_and_options_belong_to_what_is_described() {
    check(
        "paths: {/a: {get: {responses: {}}}}",
        "paths: {/a: {head: {responses: {}}, options: {responses: {}}}}",
        &[],
    );
}

#[test]
fn parameters_are_compared() {
    check(
        "paths: {/a: {get: {parameters: [{name: n, in: query, required: true, schema: {type: integer}}, {name: old, in: query, deprecated: true, schema: {}}, {name: gone, in: query, required: true}, {name: filter, in: query, style: deepObject, schema: {type: object}}, {name: flag, in: query, schema: {type: string}}], responses: {}}}}",
        "paths: {/a: {get: {parameters: [{name: n, in: query, schema: {type: string}}, {name: old, in: query, schema: {type: string}}, {name: 'filter[a]', in: query, schema: {type: string}}, {name: flag, in: query, schema: {type: boolean}}, {name: more, in: query, schema: {type: string}}, {name: x-tenant, in: header, schema: {type: string}}, {name: theme, in: cookie, schema: {type: string}}], responses: {}}}}",
        &[
            "contradictory-type [GET /a] query parameter `n` is string, and integer is described",
            "missing-parameter [GET /a] query parameter `gone` is required by the description, and calls without it succeeded",
            "missing-parameter [GET /a] query parameter `n` is required by the description, and calls without it succeeded",
            "undocumented-parameter [GET /a] header `x-tenant` is sent and not described",
            "undocumented-parameter [GET /a] query parameter `more` is sent and not described",
            "zombie-parameter [GET /a] query parameter `old` is deprecated and still sent",
        ],
    );
}

#[test]
fn bodies_and_responses_are_compared() {
    let documented = "paths: {/a: {post: {requestBody: {content: {application/json: {schema: {type: object, additionalProperties: false, required: [k], properties: {k: {type: string}, s: {enum: [x]}, t: {type: string, format: date}}}}}}, responses: {'200': {description: d, content: {application/json: {schema: {$ref: '#/components/schemas/R'}}}}, 4XX: {description: d}}}}}\ncomponents: {schemas: {R: {type: object, properties: {a: {type: string}, free: {type: object}, one: {oneOf: [{type: object, properties: {p: {}}}, {type: string}]}}}}}";
    let observed = "paths: {/a: {post: {requestBody: {content: {text/csv: {}, application/json: {schema: {type: object, required: [s], properties: {k: {type: string}, s: {type: string, enum: [x, y]}, t: {type: string, format: uuid}, z: {type: integer}}}}}}, responses: {'200': {description: d, content: {application/json: {schema: {type: object, properties: {a: {type: ['null', integer]}, n: {type: string}, free: {type: object, properties: {any: {type: string}}}, one: {type: object, properties: {p: {type: string}, q: {type: string}}}}}}}}, '202': {description: d}, '304': {description: d}, '404': {description: d, content: {text/html: {}}}, '500': {description: d}}}}}";
    check(
        documented,
        observed,
        &[
            "contradictory-type [POST /a] `R.a` in responses is integer or null, and string is described",
            "contradictory-value [POST /a] `s` in the request body is \"y\" in some, which is not in the enum",
            "contradictory-format [POST /a] `t` in the request body has the format uuid, and date is described",
            "forbidden-property [POST /a] `z` in the request body is there, and the description rules out what it does not name",
            "missing-property [POST /a] `k` in the request body is required by the description, and missing in some",
            "undocumented-status [POST /a] status 202 comes and is not described",
            "undocumented-request-media-type [POST /a] requests come as text/csv, which is not described",
            "undocumented-response-media-type [POST /a] the response 404 has a body (text/html), and none is described",
            "undocumented-response-property [POST /a] `R.n` in responses is there, and not described",
            "undocumented-response-property [POST /a] `R.one.q` in responses is there, and not described",
            "undocumented-error [POST /a] status 500 comes and is not described",
        ],
    );
}

#[test]
fn credentials_are_compared() {
    let schemes = "components: {securitySchemes: {b: {type: http, scheme: bearer}, k: {type: apiKey, in: header, name: X-Key}, o: {type: oauth2}}}\n";
    let with = |a: &str, b: &str| {
        format!(
            "{schemes}paths: {{/a: {{get: {{security: {a}, responses: {{}}}}}}, /b: {{get: {{security: {b}, responses: {{}}}}}}}}"
        )
    };
    // OAuth 2 tokens are bearer tokens; who sends more than is described sends enough.
    check(
        &with("[{o: []}]", "[{k: []}]"),
        &with("[{b: []}]", "[{k: [], b: []}]"),
        &[],
    );
    check(
        &with("[{o: []}]", "[]"),
        &with("[]", "[{k: []}]"),
        &[
            "missing-credential [GET /a] credentials are demanded, and calls without them succeeded",
            "undocumented-credential [GET /b] every call carries an API key in header `X-Key`, which is not described",
        ],
    );
    // A recorder that leaves credentials out leaves them out everywhere.
    check(&with("[{o: []}]", "[{k: []}]"), &with("[]", "[]"), &[]);
}

#[test]
fn what_only_the_traffic_has_is_named_by_its_whole_path() {
    let described =
        "servers: [{url: 'https://api.example.com/v1'}]\npaths: {/a: {get: {responses: {}}}}";
    let expected = [
        "shadow-method [POST /v1/a] it is called; the description has the path `/a`, not with POST",
        "shadow-operation [GET /v1/d] it is called and is not in the description",
    ];
    // Wherever the observed document writes the base path.
    for (url, base) in [
        ("https://api.example.com/v1", ""),
        ("https://api.example.com", "/v1"),
    ] {
        let observed = format!(
            "servers: [{{url: '{url}'}}]\npaths: {{{base}/a: {{get: {{responses: {{}}}}, post: {{responses: {{}}}}}}, {base}/d: {{get: {{responses: {{}}}}}}}}"
        );
        check(described, &observed, &expected);
    }
}
