//! The web pages.
//!
//! In: requests of people's browsers, with the session cookie. Out: HTML that works as plain links and forms, and better with the
//! vendored htmx. What may be done is decided by the core; pages only leave out what would be refused. Nothing that comes from
//! outside is ever put into a page unescaped, and nothing is loaded from elsewhere.

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

/// What the pages have to know of the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where people and collectors reach the catalog; `None`: by whatever name they used.
    pub public_url: Option<url::Url>,
    /// Whether browsers reach it by https: cookies are bound to it then.
    pub https: bool,
    /// The largest document or report that is taken, in bytes.
    pub document_bytes: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            public_url: None,
            https: false,
            document_bytes: 50 * 1024 * 1024,
        }
    }
}

/// What handlers get.
#[derive(Debug)]
struct Web {
    app: Arc<App>,
    settings: Settings,
}

/// The pages.
pub fn router(app: Arc<App>, settings: Settings) -> Router {
    let web = Arc::new(Web { app, settings });
    pages::routes(&web)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&web),
            envelope::wrap,
        ))
        .with_state(web)
}
