//! What `diff` finds, and what it does not: each case is a pair of descriptions and the lines of the report.

use silhouette_openapi::{Description, Report, diff};

fn read(text: &str) -> Description {
    let description = Description::read(text).unwrap();
    assert_eq!(description.problems(), [], "{text}");
    description
}

fn lines(report: &Report) -> Vec<String> {
    let line = |finding: &silhouette_openapi::Finding| {
        let operations = finding.operations.join(", ");
        format!("{} [{operations}] {}", finding.rule, finding.message)
    };
    report.findings.iter().map(line).collect()
}

/// Compares two `paths`.
fn check(old: &str, new: &str, expected: &[&str]) {
    let whole = |paths: &str| {
        read(&format!(
            "openapi: 3.1.0\ninfo: {{title: t, version: '1'}}\n{paths}"
        ))
    };
    let report = diff(&whole(old), &whole(new));
    assert_eq!(lines(&report), expected, "\n{old}\n{new}");
}

/// Compares the schema of a request, then that of a response.
fn check_schema(old: &str, new: &str, request: &[&str], response: &[&str]) {
    let as_request = |schema: &str| {
        format!(
            "paths: {{/a: {{post: {{requestBody: {{content: {{application/json: {{schema: {schema}}}}}}}, responses: {{}}}}}}}}"
        )
    };
    let as_response = |schema: &str| {
        format!(
            "paths: {{/a: {{get: {{responses: {{'200': {{description: d, content: {{application/json: {{schema: {schema}}}}}}}}}}}}}}}"
        )
    };
    check(&as_request(old), &as_request(new), request);
    check(&as_response(old), &as_response(new), response);
}

#[test]
fn operations_come_and_go() {
    check(
        "paths: {/a: {get: {responses: {}}, put: {deprecated: true, responses: {}}}, '/b/{x}': {parameters: [{name: x, in: path, required: true}], get: {operationId: b, responses: {}}}}",
        "paths: {/c: {get: {responses: {}}}, '/b/{y}': {parameters: [{name: y, in: path, required: true}], get: {operationId: bb, deprecated: true, responses: {}}}}",
        &[
            "operation-removed [GET /a] it is gone",
            "deprecated-operation-removed [PUT /a] it is gone; it was deprecated before",
            "operation-id-changed [GET /b/{y}] its operationId is `bb`, was `b`",
            "operation-added [GET /c] it is new",
            "operation-deprecated [GET /b/{y}] it is now deprecated",
            "path-parameter-renamed [GET /b/{y}] path parameter `x` is now called `y`",
        ],
    );
}

#[test]
fn base_paths_count_wherever_they_are_written() {
    check(
        "servers: [{url: 'https://x.test/v1'}]\npaths: {/a: {get: {responses: {}}}}",
        "servers: [{url: 'https://x.test'}]\npaths: {/v1/a: {get: {responses: {}}}}",
        &["server-added [] server `https://x.test` is new"],
    );
}

#[test]
fn a_base_path_that_changed_is_one_finding() {
    check(
        "servers: [{url: 'https://x.test/v1'}]\npaths: {/a: {get: {responses: {}}}, /b: {get: {responses: {}}}}",
        "servers: [{url: 'https://x.test/v2'}]\npaths: {/a: {get: {responses: {}}}, /b: {get: {responses: {}}}}",
        &[
            "base-path-changed [GET /a, GET /b] it is below `/v2`, no longer below `/v1`",
            "server-added [] server `https://x.test/v2` is new",
        ],
    );
}

#[test]
fn parameters_change() {
    check(
        "paths: {/a: {get: {parameters: [{name: p, in: query, schema: {type: string}}, {name: q, in: query, required: true, schema: {type: array}}, {name: X-H, in: header}, {name: Accept, in: header}], responses: {}}}}",
        "paths: {/a: {get: {parameters: [{name: p, in: query, required: true, schema: {type: integer}}, {name: q, in: query, explode: false, deprecated: true, schema: {type: array}}, {name: x-h, in: header}, {name: n, in: query}, {name: m, in: cookie, required: true}], responses: {}}}}",
        &[
            "required-parameter-added [GET /a] cookie `m` is new and must be sent",
            "parameter-became-required [GET /a] query parameter `p` must now be sent",
            "parameter-style-changed [GET /a] several values of query parameter `q` are written as form, were as form exploded",
            "request-type-changed [GET /a] query parameter `p` is integer, was string",
            "parameter-added [GET /a] query parameter `n` is new",
            "parameter-became-optional [GET /a] query parameter `q` may now be left out",
            "parameter-deprecated [GET /a] query parameter `q` is now deprecated",
        ],
    );
}

#[test]
fn bodies_and_responses_change() {
    check(
        "paths: {/a: {put: {requestBody: {content: {application/json: {}, text/plain: {}}}, responses: {'200': {description: d, headers: {X-A: {required: true, schema: {type: integer}}}, content: {application/json: {}}}, '404': {description: d}}}}}",
        "paths: {/a: {put: {requestBody: {required: true, content: {application/json: {}, application/xml: {}}}, responses: {'200': {description: d, headers: {X-B: {schema: {type: integer}}}, content: {'application/*': {}, text/csv: {}}}, '201': {description: d}, 4XX: {description: d}}}}}",
        &[
            "body-became-required [PUT /a] the request body must now be sent",
            "request-media-type-removed [PUT /a] the request body is no longer taken as text/plain",
            "required-response-header-removed [PUT /a] header `X-A` of the response 200 is gone",
            "success-added [PUT /a] status 201 is new",
            "request-media-type-added [PUT /a] the request body is also taken as application/xml",
            "error-added [PUT /a] status 4XX is new",
            "response-media-type-added [PUT /a] the response 200 also comes as application/*",
            "response-media-type-added [PUT /a] the response 200 also comes as text/csv",
            "response-header-added [PUT /a] header `X-B` of the response 200 is new",
        ],
    );
}

#[test]
fn credentials_count_by_what_they_are() {
    let schemes = "components: {securitySchemes: {a: {type: http, scheme: bearer}, k: {type: apiKey, in: header, name: X-Key}, o: {type: oauth2}}}";
    let with = |security: &str, scheme: &str| {
        format!("{schemes}\nsecurity: {security}\npaths: {{/a: {{get: {{responses: {{}}}}}}}}")
            .replace("a: {type", &format!("{scheme}: {{type"))
    };
    check(&with("[{a: []}]", "a"), &with("[{z: []}]", "z"), &[]);
    check(
        &with("[]", "a"),
        &with("[{a: []}, {k: []}]", "a"),
        &[
            "security-added [GET /a] it now needs HTTP bearer authentication, or an API key in header `X-Key`",
        ],
    );
    check(
        &with("[{a: []}, {o: [r]}]", "a"),
        &with("[{o: [r, w]}]", "a"),
        &[
            "credential-refused [GET /a] HTTP bearer authentication is no longer enough; it needs OAuth 2",
            "scope-added [GET /a] OAuth 2 now needs the scope `w`",
        ],
    );
    check(
        &with("[{a: []}]", "a"),
        &with("[{a: []}, {}]", "a"),
        &["security-removed [GET /a] it no longer needs HTTP bearer authentication"],
    );
}

#[test]
fn types_and_formats_change_with_direction() {
    check_schema(
        "{type: integer}",
        "{type: number}",
        &["request-type-widened [POST /a] the request body is number, was integer"],
        &["response-type-widened [GET /a] the response 200 is number, was integer"],
    );
    check_schema(
        "{type: [string, 'null'], format: date}",
        "{type: string, format: date-time}",
        &[
            "request-null-refused [POST /a] the request body can no longer be null",
            "request-format-changed [POST /a] the request body has format `date-time`, had `date`",
        ],
        &[
            "response-format-changed [GET /a] the response 200 has format `date-time`, had `date`",
            "response-null-gone [GET /a] the response 200 can no longer be null",
        ],
    );
    check_schema(
        "{type: string, enum: [a, b]}",
        "{type: string, enum: [b, c], maxLength: 3}",
        &[
            "request-value-removed [POST /a] the request body can no longer be \"a\"",
            "request-limit-tightened [POST /a] the request body has maxLength 3, had none",
            "request-value-added [POST /a] the request body can also be \"c\"",
        ],
        &[
            "response-value-added [GET /a] the response 200 can also be \"c\"",
            "response-value-removed [GET /a] the response 200 can no longer be \"a\"",
            "response-limit-tightened [GET /a] the response 200 has maxLength 3, had none",
        ],
    );
}

#[test]
fn properties_change_with_direction() {
    check_schema(
        "{type: object, required: [a], properties: {a: {type: string}, b: {type: string}, r: {type: string, readOnly: true}}}",
        "{type: object, required: [b, n], additionalProperties: false, properties: {a: {type: string}, b: {type: string}, n: {type: string}, w: {type: string, writeOnly: true}}}",
        &[
            "request-required-property-added [POST /a] `n` in the request body is new and must be sent",
            "request-property-became-required [POST /a] `b` in the request body must now be sent",
            "request-additional-properties-refused [POST /a] the request body can only have the named properties",
            "request-property-added [POST /a] `w` in the request body is new",
            "request-property-became-optional [POST /a] `a` in the request body may now be left out",
        ],
        &[
            "response-property-became-optional [GET /a] `a` in the response 200 may now be missing",
            "response-property-removed [GET /a] `r` in the response 200 is gone",
            "response-property-added [GET /a] `n` in the response 200 is new",
            "response-property-became-required [GET /a] `b` in the response 200 now always comes",
            "response-additional-properties-gone [GET /a] the response 200 can only have the named properties",
        ],
    );
}

#[test]
fn alternatives_are_matched_by_likeness() {
    check_schema(
        "{oneOf: [{type: string}, {type: object, properties: {a: {}, b: {}}}]}",
        "{oneOf: [{type: object, properties: {a: {}, b: {type: string}}}, {type: integer}]}",
        &[
            "request-type-narrowed [POST /a] `(alternative 1).b` in the request body is string, was any type",
            "request-alternative-removed [POST /a] the request body no longer has the form string",
            "request-alternative-added [POST /a] the request body may have the form integer",
        ],
        &[
            "response-alternative-added [GET /a] the response 200 may have the form integer",
            "response-type-narrowed [GET /a] `(alternative 1).b` in the response 200 is string, was any type",
            "response-alternative-removed [GET /a] the response 200 no longer has the form string",
        ],
    );
    check_schema(
        "{type: string}",
        "{anyOf: [{type: string}, {type: 'null'}]}",
        &["request-null-accepted [POST /a] the request body may now be null"],
        &["response-null-possible [GET /a] the response 200 may now be null"],
    );
}

#[test]
fn how_it_is_written_makes_no_difference() {
    // allOf, $ref, inline; nullable, type with null, anyOf with null; const, enum; the order of everything.
    let old = r"
openapi: 3.0.3
info: {title: t, version: '1'}
servers: [{url: 'https://x.test/v1'}]
paths:
  /a:
    get:
      parameters:
        - {name: f, in: query, schema: {type: array, items: {type: string}}}
      responses:
        '200': {description: d, content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}
components:
  schemas:
    A: {allOf: [{$ref: '#/components/schemas/B'}, {type: object, properties: {n: {type: string, nullable: true}}}]}
    B: {type: object, required: [k], properties: {k: {type: string, enum: [x]}}}
";
    let new = r"
openapi: 3.1.0
info: {title: t, version: '2'}
servers: [{url: 'https://x.test/v1'}]
paths:
  /a:
    get:
      responses:
        '200':
          description: other words
          content:
            application/json; charset=utf-8:
              schema:
                type: object
                properties:
                  n: {anyOf: [{type: 'null'}, {type: string}]}
                  k: {const: x, type: string}
                required: [k]
      parameters:
        - {in: query, name: f, schema: {items: {type: string}, type: array}}
";
    let swagger = r"
swagger: '2.0'
info: {title: t, version: '1'}
host: x.test
basePath: /v1
produces: [application/json]
paths:
  /a:
    get:
      parameters:
        - {name: f, in: query, type: array, items: {type: string}, collectionFormat: multi}
      responses:
        200:
          description: d
          schema:
            type: object
            required: [k]
            properties: {n: {type: string, x-nullable: true}, k: {type: string, enum: [x]}}
";
    let (old, new, swagger) = (read(old), read(new), read(swagger));
    for (a, b) in [
        (&old, &new),
        (&new, &old),
        (&old, &swagger),
        (&swagger, &new),
    ] {
        assert_eq!(lines(&diff(a, b)), [""; 0]);
    }
}

#[test]
fn a_change_in_a_shared_schema_is_one_finding_for_all_it_reaches() {
    let whole = |kind: &str| {
        format!(
            "paths: {{/a: {{get: {{responses: {{'200': {{$ref: '#/components/responses/R'}}}}}}}}, /b: {{get: {{responses: {{'200': {{$ref: '#/components/responses/R'}}}}}}}}}}\ncomponents: {{responses: {{R: {{description: d, content: {{application/json: {{schema: {{$ref: '#/components/schemas/N'}}}}}}}}}}, schemas: {{N: {{type: object, properties: {{v: {{type: {kind}}}, next: {{$ref: '#/components/schemas/N'}}}}}}}}}}"
        )
    };
    check(
        &whole("string"),
        &whole("integer"),
        &["response-type-changed [GET /a, GET /b] `N.v` in responses is integer, was string"],
    );
}
