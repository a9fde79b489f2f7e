//! Who is asking: the login, the token it gives, and what a token allows.
//!
//! In: e-mail and password, or `Authorization: Bearer`. Out: a JWT (RFC 7519, HS256) that lasts an hour, or a problem.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::App;
use super::answers::{FieldError, Input, Problem};
use super::shop::{Customer, Role};

const SECONDS: u64 = 3600;
/// Signs for this process's shop only; there is nothing to protect.
const KEY: &[u8] = b"the bookshop is a toy: everybody may know this key";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    role: Role,
    iat: u64,
    exp: u64,
}

/// The person behind a valid token.
pub(super) struct Person {
    pub(super) id: String,
    role: Role,
}

impl Person {
    /// 403 unless they are staff.
    pub(super) fn must_be_staff(&self) -> Result<(), Problem> {
        match self.role {
            Role::Staff => Ok(()),
            Role::Customer => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "only staff may do this",
            )),
        }
    }

    /// 403 unless it is about themselves, or they are staff.
    pub(super) fn must_be(&self, id: &str) -> Result<(), Problem> {
        if self.id == id {
            Ok(())
        } else {
            self.must_be_staff()
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let refuse = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
        let value = parts
            .headers
            .get(header::AUTHORIZATION)
            .ok_or_else(|| refuse("sign in first"))?;
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "));
        let claims = token
            .and_then(open)
            .ok_or_else(|| refuse("this token is not ours, or has run out"))?;
        Ok(Person {
            id: claims.sub,
            role: claims.role,
        })
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn seal(claims: &Claims) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let claims = serde_json::to_vec(claims).unwrap_or_default();
    let signed = format!(
        "{}.{}",
        encode(br#"{"alg":"HS256","typ":"JWT"}"#),
        encode(&claims)
    );
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), signed.as_bytes());
    format!("{signed}.{}", encode(tag.as_ref()))
}

fn open(token: &str) -> Option<Claims> {
    let (signed, tag) = token.rsplit_once('.')?;
    let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
    hmac::verify(
        &hmac::Key::new(hmac::HMAC_SHA256, KEY),
        signed.as_bytes(),
        &tag,
    )
    .ok()?;
    let claims = BASE64_URL_SAFE_NO_PAD
        .decode(signed.split_once('.')?.1)
        .ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    (claims.exp > unix_seconds()).then_some(claims)
}

#[derive(Debug, Deserialize)]
pub(super) struct Login {
    email: String,
    password: String,
}

pub(super) async fn login(
    State(app): State<App>,
    Input(login): Input<Login>,
) -> Result<Json<Value>, Problem> {
    if !login.email.contains('@') {
        let message = format!("{:?} is no e-mail address", login.email);
        Problem::unless_valid(vec![FieldError {
            field: "email",
            message,
        }])?;
    }
    let shop = app.shop();
    let customer = shop
        .customers
        .values()
        .find(|c| c.email == login.email && c.password == login.password);
    let customer = customer.ok_or_else(|| {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "e-mail and password do not belong together",
        )
    })?;
    let iat = unix_seconds();
    let claims = Claims {
        sub: customer.id.clone(),
        role: customer.role,
        iat,
        exp: iat + SECONDS,
    };
    Ok(Json(
        json!({ "accessToken": seal(&claims), "tokenType": "Bearer", "expiresIn": SECONDS }),
    ))
}

pub(super) async fn me(State(app): State<App>, person: Person) -> Result<Json<Customer>, Problem> {
    let shop = app.shop();
    shop.customers
        .get(&person.id)
        .cloned()
        .map(Json)
        .ok_or_else(|| Problem::not_found("customer", person.id))
}
