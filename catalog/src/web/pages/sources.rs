//! Sources.
use axum::response::Response;
use super::super::person::Person;
use super::super::views::overview::Health;

pub(super) async fn names(_person: &Person) -> Result<Vec<(String, String)>, Response> { Ok(Vec::new()) }
pub(super) async fn health(_person: &Person) -> Result<(Vec<Health>, String), Response> { Ok((Vec::new(), String::new())) }
