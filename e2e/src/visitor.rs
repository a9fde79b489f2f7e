//! A person's browser without a window: the catalog's pages by curl, with cookies and the forms' token.
//!
//! In: paths and fields. Out: answers. Runs no script and follows nothing.

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::catalog::{OWNER, PASSWORD};
use crate::{Answer, Catalog, curl};

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Visitor {
    url: String,
    jar: TempDir,
    csrf: String,
}

impl Visitor {
    /// The owner, signed in.
    pub fn owner(catalog: &Catalog) -> Result<Visitor> {
        let mut visitor = Visitor {
            url: catalog.url(),
            jar: tempfile::tempdir()?,
            csrf: String::new(),
        };
        let page = visitor.get("/sign-in")?.text();
        let csrf = between(&page, "name=\"csrf\" value=\"", "\"")?.to_owned();
        let fields = [
            ("csrf", csrf.as_str()),
            ("email", OWNER),
            ("password", PASSWORD),
        ];
        let mut args = Vec::new();
        for (name, value) in fields {
            args.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
        }
        let answer = visitor.send("/sign-in", &args)?;
        ensure!(answer.status == 303, "signing in: {}", answer.status);
        let page = visitor.get("/settings")?.text();
        visitor.csrf = between(&page, "X-CSRF-Token\":\"", "\"")
            .or_else(|_| between(&page, "X-CSRF-Token&quot;:&quot;", "&quot;"))?
            .to_owned();
        Ok(visitor)
    }

    /// A page.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send(path, &[])
    }

    /// A form with these parts, as curl's `-F` takes them, after the session's token.
    pub fn upload(&self, path: &str, parts: &[String]) -> Result<Answer> {
        let mut args = vec!["-F".to_owned(), format!("csrf={}", self.csrf)];
        for part in parts {
            args.extend(["-F".to_owned(), part.clone()]);
        }
        args.extend(["--max-time".to_owned(), "120".to_owned()]);
        self.send(path, &args)
    }

    fn send(&self, path: &str, more: &[String]) -> Result<Answer> {
        let jar = self.jar.path().join("cookies");
        let jar = jar.to_str().context("a path in UTF-8")?.to_owned();
        let mut args = vec!["-b".to_owned(), jar.clone(), "-c".to_owned(), jar];
        args.extend(more.iter().cloned());
        args.push(format!("{}{path}", self.url));
        curl(args)
    }
}

/// What stands between two marks.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str> {
    let (_, rest) = text
        .split_once(before)
        .with_context(|| format!("no {before} in {text:.2000}"))?;
    let (found, _) = rest
        .split_once(after)
        .with_context(|| format!("no {after} behind {before}"))?;
    Ok(found)
}
