//! Reading: what real descriptions have, and what is wrong with some.

use silhouette_openapi::{Description, Place, Version};

/// The problems of a document.
fn check(text: &str, expected: &[&str]) {
    let description = Description::read(text).unwrap();
    let problems: Vec<String> = description
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(problems, expected, "{text}");
}

fn refused(text: &str, expected: &str) {
    let error = Description::read(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{text}: {error}");
}

#[test]
fn what_is_no_description_is_refused_with_what_it_is() {
    refused("", "it is empty");
    refused("hello", "it is the text \"hello\"");
    refused("[1]", "it is an array");
    refused("{}", "it is an empty object");
    refused(
        r#"{"name": "x", "version": "1"}"#,
        "an object with name, version",
    );
    refused(r#"{"log": {"entries": []}}"#, "a HAR recording");
    refused("swaggerVersion: '1.2'", "Swagger 1.2");
    refused("openapi: 4.0.0", "OpenAPI 4.0.0");
    refused("{\"openapi\": \"3.0.0\", \"paths\": {", "line 1, column 32");
    refused("openapi: [", "it is not YAML");
}

#[test]
fn versions_are_told_apart() {
    for (text, version) in [
        ("openapi: 3.0.3\npaths: {}", Version::OpenApi30),
        ("openapi: 3.1.0", Version::OpenApi31),
        ("swagger: 2.0\npaths: {}", Version::Swagger20),
        (
            "\u{feff}{\"swagger\": \"2.0\", \"paths\": {}}",
            Version::Swagger20,
        ),
    ] {
        assert_eq!(
            Description::read(text).unwrap().version(),
            version,
            "{text}"
        );
    }
    check(
        "paths: {}",
        &["line 1: neither `openapi` nor `swagger` says which version it is; read as OpenAPI 3.0"],
    );
}

#[test]
fn problems_have_place_value_and_what_would_be_right() {
    check(
        "openapi: 3.0.0
paths:
  a:
    get:
      parameters:
        - {name: x, in: body}
        - {in: query}
        - {$ref: '#/components/parameters/none'}
        - {$ref: 'other.yaml#/x'}
      responses:
        900: {description: d}
        200: {description: d, content: {a/b: {schema: {type: text}}}}
  /b/{c}:
    get: text
    put: {operationId: o}
    post: {operationId: o, parameters: [{name: d, in: path, required: true}], security: [{nobody: []}]}
",
        &[
            "line 3, /paths/a: the path `a` does not begin with a slash",
            "line 6, /paths/a/get/parameters/0: `in` of a parameter is \"body\"; want path, query, header or cookie",
            "line 7, /paths/a/get/parameters/1: the parameter has no `name`",
            "line 8, /paths/a/get/parameters/2: `$ref: #/components/parameters/none` names nothing in this document",
            "line 9, /paths/a/get/parameters/3: `$ref: other.yaml#/x` leads out of this document and is not followed; bundle the files into one",
            "line 11, /paths/a/get/responses/900: `900` is no status; want 100 to 599, 1XX to 5XX, or default",
            "line 14, /paths/~1b~1{c}/get: `get` is a string, and should be an object",
            "line 15, /paths/~1b~1{c}/put: path parameter `c` of `/b/{c}` is not declared under `parameters`",
            "line 16, /paths/~1b~1{c}/post: path parameter `d` is not in the path `/b/{c}`",
            "line 16, /paths/~1b~1{c}/post: path parameter `c` of `/b/{c}` is not declared under `parameters`",
            "line 16, /paths/~1b~1{c}/post/security/0: security scheme `nobody` is not defined",
            "line 16, /paths/~1b~1{c}/post: operationId `o` is there twice; each must be unique",
            "line 12, /paths/a/get/responses/200/content/a~1b/schema/type: type is \"text\"; want string, number, integer, boolean, array, object or null",
        ],
    );
}

#[test]
fn references_that_lead_in_a_circle_end() {
    check(
        "openapi: 3.0.0\npaths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}}",
        &[
            "line 2, /paths/~1a: its `$ref` leads in a circle and never to a value",
            "line 2, /paths/~1b: its `$ref` leads in a circle and never to a value",
        ],
    );
    let text = "openapi: 3.1.0\npaths: {/a: {get: {responses: {'200': {description: d, content: {a/b: {schema: {$ref: '#/components/schemas/S'}}}}}}}}\ncomponents: {schemas: {S: {$ref: '#/components/schemas/S', allOf: [{$ref: '#/components/schemas/S'}], oneOf: [{$ref: '#/components/schemas/S'}]}}}";
    let description = Description::read(text).unwrap();
    let found = silhouette_openapi::diff(&description, &description).findings;
    assert_eq!(found, []);
}

#[test]
fn parameters_bodies_and_responses_are_found_behind_references() {
    let text = "openapi: 3.0.0
servers: [{url: 'https://x.test/{v}', variables: {v: {default: v1, enum: [v1, v2]}}}]
paths:
  /a/{id}:
    parameters:
      - {$ref: '#/components/parameters/id'}
      - {name: page, in: query}
    post:
      parameters: [{name: page, in: query, required: true}]
      requestBody: {$ref: '#/components/requestBodies/b'}
      responses: {default: {$ref: '#/components/responses/r'}}
  /b: {$ref: '#/paths/~1a~1{id}'}
components:
  parameters: {id: {name: id, in: path, required: true}}
  requestBodies: {b: {content: {'Application/JSON; charset=utf-8': {}}}}
  responses: {r: {description: d, headers: {X-A: {schema: {}}, Content-Type: {}}}}
";
    let description = Description::read(text).unwrap();
    let operation = &description.operations()[0];
    assert_eq!(operation.bases, ["/v1", "/v2"]);
    assert_eq!(operation.parameters.len(), 2);
    let page = operation.parameters_in(Place::Query).next().unwrap();
    assert!(
        page.required,
        "the operation's own wins over the path item's"
    );
    let body = operation.body.as_ref().unwrap();
    assert!(body.content.contains_key("application/json"));
    assert_eq!(operation.responses[0].headers.len(), 1);
    assert_eq!(description.operations()[1].name(), "POST /b");
    assert_eq!(description.line(&operation.pointer), 8);
}

#[test]
fn swagger_bodies_and_forms_are_bodies() {
    let text = "swagger: '2.0'
basePath: /api/
consumes: [application/json]
paths:
  /a:
    post:
      parameters: [{name: b, in: body, required: true, schema: {type: object}}]
      responses: {}
  /f:
    post:
      parameters: [{name: p, in: formData, type: file, required: true}, {name: q, in: formData, type: string}]
      responses: {}
";
    let description = Description::read(text).unwrap();
    let media = |at: usize| {
        let body = description.operations()[at].body.as_ref().unwrap();
        assert!(body.required);
        body.content.keys().next().unwrap().clone()
    };
    assert_eq!(media(0), "application/json");
    assert_eq!(media(1), "multipart/form-data");
    assert_eq!(description.operations()[0].bases, ["/api"]);
    assert_eq!(description.problems(), []);
}
