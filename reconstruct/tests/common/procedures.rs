//! One path for many procedures: GraphQL, JSON-RPC and SOAP, alone and in batches, and searches that look a little like them.

use super::{Draw, Exchange};
use serde_json::json;

/// `n` exchanges.
pub fn procedures(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let id = d.next() % 1000;
            match i % 6 {
                0 => {
                    let (name, query) = [
                        ("GetUser", "query GetUser($id: ID!) { user(id: $id) { id name } }"),
                        ("RenameUser", "mutation RenameUser($id: ID!) { rename(id: $id, to: \"x\") { id } }"),
                        ("ListUsers", "query ListUsers { users { ...U } } fragment U on User { id }"),
                    ][(id % 3) as usize];
                    let mut body = json!({"query": query, "variables": {"id": id.to_string()}});
                    if id.is_multiple_of(2) {
                        body["operationName"] = json!(name);
                    }
                    Exchange::new("POST", "/graphql", 200)
                        .sends("application/json", &body.to_string())
                        .json(&json!({"data": {"user": {"id": id.to_string()}}}).to_string())
                }
                1 => Exchange::new("GET", "/graphql", 200)
                    .query("query=%7B+me+%7B+id+%7D+%7D")
                    .json(r#"{"data":{"me":{"id":"1"}}}"#),
                2 => Exchange::new("POST", "/rpc", 200)
                    .sends(
                        "application/json",
                        &json!({"jsonrpc": "2.0", "id": id, "method": d.of(&["wallet.list", "wallet.send"]), "params": {"n": id}}).to_string(),
                    )
                    .json(&json!({"jsonrpc": "2.0", "id": id, "result": id}).to_string()),
                3 => Exchange::new("POST", "/rpc", 200)
                    .sends(
                        "application/json",
                        &json!([{"jsonrpc": "2.0", "id": id, "method": "chain.height"}, {"jsonrpc": "2.0", "method": "log"}]).to_string(),
                    )
                    .json(&json!([{"jsonrpc": "2.0", "id": id, "result": id}]).to_string()),
                4 => Exchange::new("POST", "/stock", 200)
                    .header("soapaction", d.of(&["\"http://example.com/stock/GetPrice\"", "\"http://example.com/stock/Buy\""]))
                    .sends("text/xml; charset=utf-8", &format!("<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><Order id=\"{id}\"><item>{id}</item><item>7</item></Order></s:Body></s:Envelope>"))
                    .answers("text/xml; charset=utf-8", &format!("<Price currency=\"EUR\">{id}.5</Price>")),
                _ => Exchange::new("POST", "/search", 200)
                    .sends("application/json", &json!({"query": d.of(&["shoes", "query builders", "{a}"])}).to_string())
                    .json("[]"),
            }
        })
        .collect()
}
