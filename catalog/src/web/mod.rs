//! The web pages.
//!
//! In: requests of people's browsers, with the session cookie. Out: HTML that works as plain links and forms, and better with the
//! vendored htmx. What may be done is decided by the core; pages only leave out what would be refused. Nothing that comes from
//! outside is ever put into a page unescaped, and nothing is loaded from elsewhere.

mod assets;
mod views;
