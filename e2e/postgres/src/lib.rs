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

use std::io::{Seek as _, Write as _};
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
    /// A dump was not made, or not taken.
    #[error("{program} on the database {name}: {said}")]
    Dump {
        /// Which of PostgreSQL's programs.
        program: &'static str,
        /// The database.
        name: String,
        /// What it printed.
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

    /// Everything in it as statements, without who owns what.
    ///
    /// # Errors
    /// When `pg_dump` says no.
    pub fn dump(&self) -> Result<String, Error> {
        let args = ["--inserts", "--no-owner", "--no-privileges", &self.name];
        let text = self.server.run("pg_dump", &args);
        let text = text.map_err(|said| self.failed("pg_dump", said))?;
        // What only psql of the very same release or PostgreSQL 17 would understand.
        let local = ["\\restrict", "\\unrestrict", "SET transaction_timeout"];
        let lines = text.lines();
        let lines = lines.filter(|line| !local.iter().any(|start| line.starts_with(start)));
        Ok(lines.map(|line| format!("{line}\n")).collect())
    }

    /// Executes such statements.
    ///
    /// # Errors
    /// When `psql` says no.
    pub fn load(&self, statements: &str) -> Result<(), Error> {
        let args = ["--quiet", "--set=ON_ERROR_STOP=1", &self.name];
        let file = tempfile::tempfile().and_then(|mut file| {
            file.write_all(statements.as_bytes())?;
            file.rewind()?;
            Ok(file)
        });
        let loaded = file
            .map_err(|error| error.to_string())
            .and_then(|file| self.server.run_on("psql", &args, file));
        loaded.map(drop).map_err(|said| self.failed("psql", said))
    }

    fn failed(&self, program: &'static str, said: String) -> Error {
        Error::Dump {
            program,
            name: self.name.clone(),
            said,
        }
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
