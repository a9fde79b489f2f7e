//! The web pages.
//!
//! In: requests of people's browsers, with the session cookie. Out: HTML that works as plain links and forms, and better with the
//! vendored htmx. What may be done is decided by the core; pages only leave out what would be refused. Nothing that comes from
//! outside is ever put into a page unescaped, and nothing is loaded from elsewhere.

#![allow(
    clippy::result_large_err,
    reason = "an answer is an answer, also when it says no; it is moved once per request"
)]

mod answer;
mod assets;
mod cookie;
mod envelope;
mod origin;
mod pages;
mod person;
mod posted;
mod query;
mod reading;
mod views;

use std::sync::Arc;

use axum::{Router, middleware};

use crate::app::App;
use crate::serve::in_time;

/// What handlers get.
#[derive(Debug)]
struct Web {
    app: Arc<App>,
    /// The origin under which people reach it.
    public: Option<url::Url>,
}

impl Web {
    /// Whether browsers reach it by https: cookies are bound to it then.
    fn https(&self) -> bool {
        self.app.over_tls()
    }

    /// The largest document or report that is taken, in bytes.
    fn document_bytes(&self) -> u64 {
        self.app.config.max_document as u64
    }
}

/// The pages. What is not found anywhere else is answered here.
pub fn router(app: Arc<App>) -> Router {
    let public = url::Url::parse(&app.public_url).ok();
    let timed = middleware::from_fn_with_state(app.clone(), in_time);
    let web = Arc::new(Web { app, public });
    pages::routes(&web)
        .layer(timed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&web),
            envelope::wrap,
        ))
        .with_state(web)
}
