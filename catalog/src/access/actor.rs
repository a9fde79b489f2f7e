//! In whose name something is done.

use super::{Permission, Permissions};
use crate::Refusal;
use crate::ids::{OrganisationId, UserId};

/// How an actor came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Signed in to the pages.
    Session,
    /// An API key.
    Key,
    /// An API key, in the name of another user. Makes no keys and changes no passwords: they would outlive it.
    KeyForAnother,
    /// A collector's credential.
    Collector,
    /// The command line, on the machine itself.
    CommandLine,
    /// The catalog by itself: a sync that was due.
    Schedule,
}

impl Via {
    /// As the audit log writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Via::Session => "session",
            Via::Key => "key",
            Via::KeyForAnother => "key, for another",
            Via::Collector => "collector",
            Via::CommandLine => "command line",
            Via::Schedule => "schedule",
        }
    }
}

/// Who acts, in which organisation, and with which permissions. Every operation of the catalog takes one: it sees that
/// organisation alone, asks [`Actor::may`], and writes the actor into the audit log.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The world it sees.
    pub organisation: OrganisationId,
    /// The user, unless it is a collector or the catalog itself.
    pub user: Option<UserId>,
    /// As the audit log names it: an e-mail address, `collector edge-1`, and for one who acts in another's name both.
    pub name: String,
    /// How it came in.
    pub via: Via,
    /// The role, as people read it.
    pub role: String,
    /// What it may do.
    pub permissions: Permissions,
    /// `X-Correlation-ID` of the request, or one made for it.
    pub correlation: String,
    /// The peer's address, or empty.
    pub address: String,
}

impl Actor {
    /// Who sits at the machine itself, and may do everything.
    #[must_use]
    pub fn command_line(organisation: OrganisationId) -> Actor {
        Actor::by_itself(organisation, Via::CommandLine, "command line".to_owned())
    }

    /// The catalog, doing what is due.
    #[must_use]
    pub fn schedule(organisation: OrganisationId) -> Actor {
        Actor::by_itself(organisation, Via::Schedule, "the catalog".to_owned())
    }

    /// A collector that registered. It may do nothing that is asked for by permission.
    #[must_use]
    pub fn collector(organisation: OrganisationId, name: &str, address: &str) -> Actor {
        Actor {
            permissions: Permissions::default(),
            address: address.to_owned(),
            ..Actor::by_itself(organisation, Via::Collector, format!("collector {name}"))
        }
    }

    fn by_itself(organisation: OrganisationId, via: Via, name: String) -> Actor {
        Actor {
            organisation,
            user: None,
            role: name.clone(),
            name,
            via,
            permissions: Permissions::all(),
            correlation: String::new(),
            address: String::new(),
        }
    }

    /// Whether it may.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] when it may not.
    pub fn may(&self, permission: Permission) -> Result<(), Refusal> {
        if self.permissions.has(permission) {
            return Ok(());
        }
        Err(Refusal::Forbidden {
            permission,
            holder: format!("the role {}", self.role),
        })
    }
}
