//! What can be allowed, one by one.

use std::collections::BTreeSet;

macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident, $text:literal, $title:literal;)*) => {
        /// One thing that can be allowed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[$meta])* $name,)*
        }

        impl Permission {
            /// All, in the order they are shown.
            pub const ALL: &'static [Permission] = &[$(Permission::$name),*];

            /// As it is stored and as the REST API writes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Permission::$name => $text,)* }
            }

            /// As people read it.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Permission::$name => $title,)* }
            }

            /// The one of this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Permission> {
                match name { $($text => Some(Permission::$name),)* _ => None }
            }
        }
    };
}

permissions! {
    /// Look at discovery, catalog, targets, documents, drift and findings.
    ViewApis, "apis:view", "View APIs";
    /// Link, unlink, hide, show, rename, create and delete targets.
    ManageApis, "apis:manage", "Manage APIs and targets";
    /// Look at sources and their statuses.
    ViewSources, "sources:view", "View API sources";
    /// Add, edit, sync and delete sources; make registration tokens; import documents.
    ManageSources, "sources:manage", "Manage API sources and imports";
    /// Import what scanners found.
    ImportScans, "scans:import", "Import scan results";
    /// Look at users, roles and keys of others.
    ViewUsers, "users:view", "View users, roles and keys";
    /// Invite, change and remove users, make custom roles, revoke keys of others.
    ManageUsers, "users:manage", "Manage users, roles and keys";
    /// Read the audit log.
    ViewAudit, "audit:view", "View the audit log";
    /// Make and revoke one's own API keys.
    OwnKeys, "keys:own", "Have API keys of one's own";
    /// Act in the name of another user by `X-Invicti-UserId`.
    ActAs, "users:act-as", "Act in the name of others";
    /// Rename the organisation, make and remove owners.
    ManageOrganisation, "organisation:manage", "Manage the organisation and its owners";
}

/// A set of permissions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions(BTreeSet<Permission>);

impl Permissions {
    /// Every one.
    #[must_use]
    pub fn all() -> Permissions {
        Permissions(Permission::ALL.iter().copied().collect())
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(&self, permission: Permission) -> bool {
        self.0.contains(&permission)
    }

    /// Those that both have: one who acts for another gets no more than either.
    #[must_use]
    pub fn and(&self, other: &Permissions) -> Permissions {
        Permissions(self.0.intersection(&other.0).copied().collect())
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub fn include(&self, other: &Permissions) -> bool {
        self.0.is_superset(&other.0)
    }

    /// In the order they are shown.
    pub fn iter(&self) -> impl Iterator<Item = Permission> + '_ {
        self.0.iter().copied()
    }

    /// As it is stored: names with spaces between.
    #[must_use]
    pub fn to_text(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|permission| permission.name()).collect();
        names.join(" ")
    }

    /// What was stored. Names this version does not know are left out: they allow nothing here.
    #[must_use]
    pub fn from_text(text: &str) -> Permissions {
        Permissions(
            text.split_whitespace()
                .filter_map(Permission::parse)
                .collect(),
        )
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(all: I) -> Permissions {
        Permissions(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        let all = Permissions::all();
        assert_eq!(Permissions::from_text(&all.to_text()), all);
        assert_eq!(
            Permissions::from_text("apis:view root:everything").to_text(),
            "apis:view"
        );
    }
}
