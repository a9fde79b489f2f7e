//! The roles every organisation has.

use super::{Permission, Permissions};

/// A role that is always there and cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuiltInRole {
    /// Everything, owners included. The last one can be neither removed nor demoted.
    Owner,
    /// Everything but the organisation itself and its owners.
    Administrator,
    /// Works on APIs, targets, sources and scans.
    SecurityManager,
    /// Looks at everything that is about APIs, and imports scan results.
    SecurityAnalyst,
}

impl BuiltInRole {
    /// All, the mightiest first.
    pub const ALL: [BuiltInRole; 4] = [
        BuiltInRole::Owner,
        BuiltInRole::Administrator,
        BuiltInRole::SecurityManager,
        BuiltInRole::SecurityAnalyst,
    ];

    /// As it is stored and as the REST API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BuiltInRole::Owner => "owner",
            BuiltInRole::Administrator => "administrator",
            BuiltInRole::SecurityManager => "security-manager",
            BuiltInRole::SecurityAnalyst => "security-analyst",
        }
    }

    /// As people read it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            BuiltInRole::Owner => "Owner",
            BuiltInRole::Administrator => "Administrator",
            BuiltInRole::SecurityManager => "Security Manager",
            BuiltInRole::SecurityAnalyst => "Security Analyst",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<BuiltInRole> {
        BuiltInRole::ALL
            .into_iter()
            .find(|role| role.name() == name)
    }

    /// What it allows.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        use Permission as P;
        match self {
            BuiltInRole::Owner => Permissions::all(),
            BuiltInRole::Administrator => Permission::ALL
                .iter()
                .copied()
                .filter(|p| *p != P::ManageOrganisation)
                .collect(),
            BuiltInRole::SecurityManager => [
                P::ViewApis,
                P::ManageApis,
                P::ViewSources,
                P::ManageSources,
                P::ImportScans,
                P::OwnKeys,
            ]
            .into_iter()
            .collect(),
            BuiltInRole::SecurityAnalyst => {
                [P::ViewApis, P::ViewSources, P::ImportScans, P::OwnKeys]
                    .into_iter()
                    .collect()
            }
        }
    }
}
