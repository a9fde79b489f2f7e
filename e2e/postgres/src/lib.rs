//! A private PostgreSQL for tests: the server Debian's package brings, once per test program, and a fresh database per test.
//!
//! In: nothing but the programs of the package `postgresql`. Out: [`Database`]s, each with the URL to connect with. The
//! server listens on a Unix socket in a directory of its own alone, so that many of them run side by side; it never writes
//! outside that directory, never runs as root, and never outlives the test program, however that ends.
//!
//! It is a crate of its own because both the catalog's tests and `silhouette-e2e`, which starts the catalog, stand on it.
//!
//! Its locale sorts as people do (ICU, English), as most installations' does: a query that means bytes must say so.

mod programs;
mod server;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

pub use programs::NotInstalled;
use server::Server;
pub use server::StartError;

/// The server of this test program, once somebody asked for a database.
static SERVER: Mutex<Option<Server>> = Mutex::new(None);

/// A fresh, empty database; dropped with its handle, whoever is still connected.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    server: Server,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package is missing.
    #[error(transparent)]
    NotInstalled(#[from] NotInstalled),
    /// The server did not come up.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It is up, but did not create the database.
    #[error("creating the database {name}: {said}")]
    Create {
        /// The database.
        name: String,
        /// What `createdb` printed.
        said: String,
    },
}

impl Database {
    /// Creates one; the first starts the server.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (saying how to), or its server does not come up.
    pub fn create() -> Result<Database, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let server = {
            let mut running = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
            match &*running {
                Some(server) => server.clone(),
                None => running.insert(Server::start()?).clone(),
            }
        };
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server
            .run("createdb", &[&name])
            .map_err(|said| Error::Create {
                name: name.clone(),
                said,
            })?;
        Ok(Database {
            url: server.url(&name),
            name,
            server,
        })
    }

    /// `postgres://…`, as the catalog's setting takes it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(said) = self.server.run("dropdb", &["--force", &self.name]) {
            eprintln!(
                "the database {} stays until the server ends: {said}",
                self.name
            );
        }
    }
}
