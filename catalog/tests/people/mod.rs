//! Organisations and users for tests.
//!
//! In: names and roles. Out: actors as they come in. Never touches a clock.

#![allow(dead_code, reason = "each test program uses a part of it")]

use silhouette_catalog::Millis;
use silhouette_catalog::access::{Actor, Door, door, first, member, organisations, users};
use silhouette_catalog::ids::OrganisationId;
use silhouette_catalog::store::Store;

/// A password that is taken.
pub(crate) const PASSWORD: &str = "tram orchid gravel nine";

/// A point in time that tests begin at.
pub(crate) const START: Millis = Millis(1_800_000_000_000);

/// So many seconds after the start.
pub(crate) fn at(seconds: i64) -> Millis {
    Millis(START.0 + seconds * 1000)
}

pub(crate) fn door() -> Door {
    Door::new(door::Lifetimes::default()).unwrap()
}

/// An organisation and the one who sits at its machine.
pub(crate) async fn organisation(store: &Store, door: &Door, name: &str, owner: &str) -> Actor {
    first::with_owner(store, door.passwords(), name, owner, Some(PASSWORD), START)
        .await
        .unwrap();
    let all = organisations::all(store).await.unwrap();
    let id: OrganisationId = all.into_iter().find(|o| o.name == name).unwrap().id;
    Actor::command_line(id)
}

/// An actor with a role, as if it had come in with a key.
pub(crate) async fn user(
    store: &Store,
    door: &Door,
    organisation: &Actor,
    email: &str,
    role: &str,
) -> Actor {
    let new = users::New {
        email,
        name: "",
        role,
        password: Some(PASSWORD),
    };
    let invited = users::invite(store, door.passwords(), organisation, new, START)
        .await
        .unwrap();
    let mut connection = store.pool().acquire().await.unwrap();
    let member = member::member(&mut connection, &organisation.organisation, &invited.user)
        .await
        .unwrap()
        .unwrap();
    Actor {
        user: Some(invited.user),
        name: email.to_owned(),
        via: silhouette_catalog::access::Via::Key,
        role: member.role_title,
        permissions: member.permissions,
        ..organisation.clone()
    }
}
