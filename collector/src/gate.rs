//! Who may come in: the tokens in force, and where none is needed.
//!
//! In: a scope and an `Authorization` value. Out: the token's name, `None` where none is needed, or why not. Follows the
//! token file while it runs. Never lets anybody in because a file is missing or damaged.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use crate::config::Config;
use crate::tokens::{Denied, Scope, TokenError, Tokens, presented};

/// The rules and the tokens.
#[derive(Debug)]
pub struct Gate {
    tokens: RwLock<Tokens>,
    open_telemetry: bool,
    open_admin: bool,
}

/// Why the service must not start like this.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The tokens cannot be read.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// Anybody could send.
    #[error(
        "the telemetry port would accept anybody: {0} is not a loopback address and there is no token. Create one \
         (silhouette-collector token create --name NAME), require client certificates (tls_client_ca), or say that you mean it \
         (--allow-anonymous)"
    )]
    Telemetry(std::net::SocketAddr),
    /// Anybody could look.
    #[error(
        "the admin listener would show everything to anybody: {0} is not a loopback address and there is no admin token. \
         Create one (silhouette-collector token create --admin --name NAME) or say that you mean it (--allow-anonymous)"
    )]
    Admin(std::net::SocketAddr),
}

impl Gate {
    /// Reads the tokens and checks that nothing is open by mistake.
    pub fn new(config: &Config) -> Result<Gate, GateError> {
        let tokens = Tokens::open(&config.data_dir)?;
        let mutual = config
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some());
        let gate = Gate {
            open_telemetry: config.listen.ip().is_loopback() || config.allow_anonymous || mutual,
            open_admin: config.admin_listen.ip().is_loopback() || config.allow_anonymous,
            tokens: RwLock::new(tokens),
        };
        if !gate.open_telemetry && !gate.needs_token(Scope::Telemetry) {
            return Err(GateError::Telemetry(config.listen));
        }
        if !gate.open_admin && !gate.needs_token(Scope::Admin) {
            return Err(GateError::Admin(config.admin_listen));
        }
        Ok(gate)
    }

    /// Whether tokens of this kind exist, so that one must be shown.
    pub fn needs_token(&self, scope: Scope) -> bool {
        self.tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .any(scope)
    }

    /// Who this is. `now` is in Unix seconds.
    pub fn admit(
        &self,
        scope: Scope,
        authorization: Option<&[u8]>,
        now: u64,
    ) -> Result<Option<String>, Denied> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let open = match scope {
            Scope::Telemetry => self.open_telemetry,
            Scope::Admin => self.open_admin,
        };
        if open && !tokens.any(scope) {
            return Ok(None);
        }
        let presented = presented(authorization)?;
        tokens
            .check(&presented, scope, now)
            .map(|name| Some(name.to_owned()))
    }

    /// Looks whether the file has changed.
    pub fn reload(&self, data_dir: &Path) -> Result<(), TokenError> {
        let changed = self
            .tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .reload()?;
        if changed {
            tracing::info!(data_dir = %data_dir.display(), "the tokens have changed");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn config(dir: &Path, listen: &str, admin: &str, anonymous: bool) -> Config {
        Settings {
            data_dir: Some(dir.to_owned()),
            listen: Some(listen.parse().unwrap()),
            admin_listen: Some(admin.parse().unwrap()),
            allow_anonymous: Some(anonymous),
            ..Settings::default()
        }
        .build()
        .unwrap()
    }

    #[test]
    fn nothing_is_open_by_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let gate = |listen, admin, anonymous| {
            Gate::new(&config(dir.path(), listen, admin, anonymous)).map_err(|e| e.to_string())
        };
        let (here, there) = ("127.0.0.1:1", "0.0.0.0:1");
        gate(here, "[::1]:1", false).unwrap();
        assert!(
            gate(there, here, false)
                .unwrap_err()
                .contains("token create --name")
        );
        assert!(gate(here, there, false).unwrap_err().contains("--admin"));
        gate(there, there, true).unwrap();
        let mut tokens = Tokens::open(dir.path()).unwrap();
        tokens.create("a", Scope::Telemetry, None, 0).unwrap();
        gate(there, here, false).unwrap();
        assert!(
            gate(there, there, false).is_err(),
            "a shim's token opens no admin listener"
        );
    }

    #[test]
    fn a_token_once_created_is_needed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::new(&config(dir.path(), "127.0.0.1:1", "127.0.0.1:2", false)).unwrap();
        assert_eq!(gate.admit(Scope::Telemetry, None, 5), Ok(None));
        let mut tokens = Tokens::open(dir.path()).unwrap();
        let secret = tokens.create("a", Scope::Telemetry, None, 0).unwrap();
        gate.reload(dir.path()).unwrap();
        assert_eq!(gate.admit(Scope::Telemetry, None, 5), Err(Denied::Missing));
        let bearer = format!("Bearer {secret}");
        assert_eq!(
            gate.admit(Scope::Telemetry, Some(bearer.as_bytes()), 5),
            Ok(Some("a".into()))
        );
        assert_eq!(gate.admit(Scope::Admin, None, 5), Ok(None));
        tokens.revoke("a", 6).unwrap();
        gate.reload(dir.path()).unwrap();
        assert_eq!(
            gate.admit(Scope::Telemetry, Some(bearer.as_bytes()), 7),
            Err(Denied::Revoked)
        );
        assert_eq!(gate.admit(Scope::Telemetry, None, 7), Err(Denied::Missing));
    }
}
