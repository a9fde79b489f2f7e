//! Who may come in, and who may do what, on both databases.

mod people;
mod stores;

use people::{PASSWORD, START, at, door, organisation, user};
use silhouette_catalog::Refusal;
use silhouette_catalog::access::door::{Attempt, WithKey};
use silhouette_catalog::access::{
    Actor, Permission, Permissions, first, keys, organisations, roles, users,
};
use silhouette_catalog::audit;
use silhouette_catalog::ids::OrganisationId;
use silhouette_catalog::store::{Direction, Page, Store};
use stores::on_each;

async fn logged(store: &Store, actor: &Actor) -> Vec<String> {
    let all = audit::list(store, actor, &audit::Filter::default(), Page::default())
        .await
        .unwrap();
    all.items
        .into_iter()
        .rev()
        .map(|entry| entry.action)
        .collect()
}

fn attempt<'a>(email: &'a str, password: &'a str) -> Attempt<'a> {
    Attempt {
        email,
        password,
        address: "192.0.2.1",
        agent: "test",
    }
}

#[tokio::test]
async fn the_first_start_makes_an_owner_once() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let start = async |email: &'static str, password| {
            first::owner(store, door.passwords(), "Bookshop", email, password, START).await
        };
        assert!(start("nobody", None).await.is_err());
        assert!(start("owner@example.com", Some("short")).await.is_err());
        assert!(organisations::all(store).await.unwrap().is_empty());
        let owner = start("Owner@Example.com", None).await.unwrap().unwrap();
        let password = owner.password.unwrap();
        assert!(start("other@example.com", None).await.unwrap().is_none());

        let signed_in = door
            .sign_in(store, attempt("owner@example.com", &password), at(1))
            .await
            .unwrap();
        assert!(signed_in.session.must_change_password);
        // Until it is changed, nothing else can be done.
        let actor = async |now| {
            door.actor_of_session(store, &signed_in.secret, "c-1", "192.0.2.1", now)
                .await
                .unwrap()
                .0
        };
        assert!(actor(at(2)).await.may(Permission::ViewApis).is_err());
        for (current, new, field) in [
            ("wrong", PASSWORD, "currentPassword"),
            (password.as_str(), "password1234", "newPassword"),
            (password.as_str(), password.as_str(), "newPassword"),
        ] {
            let refused = door
                .change_password(
                    store,
                    &actor(at(3)).await,
                    &signed_in.secret,
                    current,
                    new,
                    at(3),
                )
                .await;
            let Err(Refusal::Invalid { field: at, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(at, field);
        }
        door.change_password(
            store,
            &actor(at(4)).await,
            &signed_in.secret,
            &password,
            PASSWORD,
            at(4),
        )
        .await
        .unwrap();
        let owner = actor(at(5)).await;
        assert!(owner.may(Permission::ManageOrganisation).is_ok());
        assert_eq!(
            logged(store, &owner).await,
            [
                "organisation.create",
                "user.invite",
                "session.begin",
                "user.change-password"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn sessions_end_when_they_should() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let machine = organisation(store, &door, "Bookshop", "owner@example.com").await;
        for (email, password) in [
            ("owner@example.com", "wrong password here"),
            ("nobody@example.com", PASSWORD),
        ] {
            let refused = door
                .sign_in(store, attempt(email, password), at(0))
                .await
                .unwrap_err();
            assert_eq!(
                refused.to_string(),
                "the e-mail address or the password is not right"
            );
        }
        let sign_in = async |now| {
            door.sign_in(store, attempt("owner@example.com", PASSWORD), now)
                .await
                .unwrap()
        };
        let open = async |secret: &str, now| {
            door.actor_of_session(store, secret, "", "", now)
                .await
                .map(|(actor, _)| actor)
        };
        let hour = 3600;
        let (one, two) = (sign_in(at(0)).await.secret, sign_in(at(0)).await.secret);
        assert!(open(&one, at(11 * hour)).await.is_ok());
        assert!(
            open(&two, at(12 * hour)).await.is_err(),
            "idle for 12 hours"
        );
        for n in 2..16 {
            assert!(open(&one, at(n * 11 * hour)).await.is_ok(), "{n}");
        }
        assert!(
            open(&one, at(7 * 24 * hour)).await.is_err(),
            "7 days at most"
        );
        assert!(open("", at(0)).await.is_err());

        let now = 8 * 24 * hour;
        let (one, two, three) = (
            sign_in(at(now)).await,
            sign_in(at(now)).await,
            sign_in(at(now)).await,
        );
        let actor = open(&one.secret, at(now)).await.unwrap();
        let places = door
            .places(store, &actor, &one.secret, at(now))
            .await
            .unwrap();
        assert_eq!(
            (
                places.len(),
                places.iter().filter(|place| place.current).count()
            ),
            (3, 1)
        );
        door.sign_out(store, &actor, &two.secret, at(now))
            .await
            .unwrap();
        assert!(open(&two.secret, at(now)).await.is_err());
        door.sign_out_everywhere(store, &actor, at(now))
            .await
            .unwrap();
        assert!(
            open(&one.secret, at(now)).await.is_err()
                && open(&three.secret, at(now)).await.is_err()
        );

        // Another organisation's user has no way in, and none of the secrets is in the database.
        let other = organisation(store, &door, "Elsewhere", "else@example.com").await;
        let four = sign_in(at(now)).await;
        let actor = open(&four.secret, at(now)).await.unwrap();
        let switch = async |to: &OrganisationId| {
            door.switch_organisation(store, &actor, &four.secret, to, at(now))
                .await
        };
        assert!(matches!(
            switch(&other.organisation).await,
            Err(Refusal::NotFound { .. })
        ));
        let new = users::New {
            email: "owner@example.com",
            name: "",
            role: "security-analyst",
            password: None,
        };
        let invited = users::invite(store, door.passwords(), &other, new, START)
            .await
            .unwrap();
        assert!(
            invited.password.is_none(),
            "the account is there, its password stays"
        );
        switch(&other.organisation).await.unwrap();
        let there = open(&four.secret, at(now)).await.unwrap();
        assert_eq!(
            (&there.organisation, there.role.as_str()),
            (&other.organisation, "Security Analyst")
        );
        let hashes: Vec<String> = sqlx::query_scalar("SELECT hash FROM sessions")
            .fetch_all(store.pool())
            .await
            .unwrap();
        assert!(!hashes.contains(&four.secret));
        assert!(
            logged(store, &machine)
                .await
                .contains(&"session.refuse".to_owned())
        );
    })
    .await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        organisation(store, &door, "Bookshop", "owner@example.com").await;
        for _ in 0..5 {
            let refused = door
                .sign_in(
                    store,
                    attempt("owner@example.com", "guess guess guess"),
                    at(0),
                )
                .await;
            assert!(matches!(refused, Err(Refusal::Unauthenticated(_))));
        }
        let good = async |now| {
            door.sign_in(store, attempt("owner@example.com", PASSWORD), now)
                .await
        };
        assert!(matches!(
            good(at(0)).await,
            Err(Refusal::TooMany { seconds: 1 })
        ));
        good(at(1)).await.unwrap();
        good(at(1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let machine = organisation(store, &door, "Bookshop", "owner@example.com").await;
        let owner = users::by_email(store, &machine, "OWNER@example.com")
            .await
            .unwrap();
        let admin = user(store, &door, &machine, "admin@example.com", "administrator").await;
        let analyst = user(
            store,
            &door,
            &machine,
            "analyst@example.com",
            "security-analyst",
        )
        .await;
        let denied = |refused: Result<(), Refusal>| {
            assert!(matches!(refused, Err(Refusal::Denied(_))), "{refused:?}")
        };

        let invite = async |actor: &Actor, role: &str| {
            let new = users::New {
                email: "new@example.com",
                name: "New",
                role,
                password: None,
            };
            users::invite(store, door.passwords(), actor, new, at(1)).await
        };
        assert!(matches!(
            invite(&analyst, "security-analyst").await,
            Err(Refusal::Forbidden { .. })
        ));
        denied(invite(&admin, "owner").await.map(drop));
        for role in ["king", "0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b"] {
            assert!(matches!(
                invite(&admin, role).await,
                Err(Refusal::Invalid { field: "role", .. })
            ));
        }
        let new = invite(&admin, "security-manager").await.unwrap();
        assert!(new.password.is_some());
        assert!(matches!(
            invite(&admin, "security-manager").await,
            Err(Refusal::Conflict {
                code: "already-member",
                ..
            })
        ));

        denied(users::change_role(store, &admin, &owner, "security-analyst", at(2)).await);
        denied(
            users::reset_password(store, door.passwords(), &admin, &owner, at(2))
                .await
                .map(drop),
        );
        denied(users::set_active(store, &admin, &owner, false, at(2)).await);
        denied(users::remove(store, &admin, &owner, at(2)).await);
        let own = admin.user.clone().unwrap();
        denied(users::change_role(store, &admin, &own, "security-analyst", at(2)).await);
        // The last owner stays, even for who sits at the machine.
        denied(users::remove(store, &machine, &owner, at(2)).await);
        denied(users::set_active(store, &machine, &owner, false, at(2)).await);
        denied(users::change_role(store, &machine, &owner, "administrator", at(2)).await);
        users::change_role(store, &machine, &own, "owner", at(3))
            .await
            .unwrap();
        users::remove(store, &machine, &owner, at(3)).await.unwrap();
        assert!(matches!(
            users::get(store, &machine, &owner).await,
            Err(Refusal::NotFound { .. })
        ));

        let few: Permissions = [Permission::ViewApis, Permission::OwnKeys]
            .into_iter()
            .collect();
        let role = async |name: &str, permissions: &Permissions| {
            roles::create(store, &admin, name, permissions, at(4)).await
        };
        denied(role("Kings", &Permissions::all()).await.map(drop));
        for name in ["", "Owner", "security-analyst", "a\nb", &"x".repeat(101)] {
            assert!(role(name, &few).await.is_err(), "{name}");
        }
        let readers = role("Readers", &few).await.unwrap();
        assert!(matches!(
            role("READERS", &few).await,
            Err(Refusal::Conflict {
                code: "name-taken",
                ..
            })
        ));
        users::change_role(store, &admin, &new.user, readers.as_str(), at(5))
            .await
            .unwrap();
        let member = users::get(store, &admin, &new.user).await.unwrap();
        assert_eq!(
            (member.role_title.as_str(), &member.permissions),
            ("Readers", &few)
        );
        assert!(matches!(
            roles::delete(store, &admin, &readers, at(5)).await,
            Err(Refusal::Conflict {
                code: "role-in-use",
                ..
            })
        ));
        let more: Permissions = [Permission::ViewApis].into_iter().collect();
        roles::update(store, &admin, &readers, "Readers of APIs", &more, at(6))
            .await
            .unwrap();
        let listed = roles::list(store, &admin).await.unwrap();
        let custom = listed.last().unwrap();
        assert_eq!(
            (custom.title.as_str(), custom.users, listed.len()),
            ("Readers of APIs", 1, 5)
        );
        users::remove(store, &admin, &new.user, at(7))
            .await
            .unwrap();
        roles::delete(store, &admin, &readers, at(7)).await.unwrap();

        let filter = users::Filter {
            text: Some("ANAL".into()),
            ..users::Filter::default()
        };
        let found = users::list(
            store,
            &admin,
            &filter,
            (users::Order::Name, Direction::Ascending),
            Page::default(),
        )
        .await
        .unwrap();
        assert_eq!(
            (found.total, found.items[0].email.as_str()),
            (1, "analyst@example.com")
        );
        let log = logged(store, &machine).await;
        for action in [
            "user.role",
            "user.remove",
            "role.create",
            "role.update",
            "role.delete",
        ] {
            assert!(log.iter().any(|logged| logged == action), "{action}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_of_two_organisations_is_not_one_alone() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let here = organisation(store, &door, "Here", "here@example.com").await;
        let there = organisation(store, &door, "There", "there@example.com").await;
        let admin = user(store, &door, &there, "admin@example.com", "owner").await;
        let new = users::New {
            email: "here@example.com",
            name: "",
            role: "owner",
            password: None,
        };
        let shared = users::invite(store, door.passwords(), &there, new, at(1))
            .await
            .unwrap()
            .user;
        let reset = users::reset_password(store, door.passwords(), &admin, &shared, at(2)).await;
        assert!(matches!(reset, Err(Refusal::Denied(_))));
        users::set_active(store, &admin, &shared, false, at(3))
            .await
            .unwrap();
        let session = door
            .sign_in(store, attempt("here@example.com", PASSWORD), at(4))
            .await
            .unwrap();
        assert_eq!(session.session.organisation, here.organisation);
        users::remove(store, &admin, &shared, at(5)).await.unwrap();
        assert!(users::get(store, &here, &shared).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn keys_let_in_their_user_and_nobody_else() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let machine = organisation(store, &door, "Bookshop", "owner@example.com").await;
        let other = organisation(store, &door, "Elsewhere", "else@example.com").await;
        let owner = user(store, &door, &machine, "boss@example.com", "owner").await;
        let analyst = user(
            store,
            &door,
            &machine,
            "analyst@example.com",
            "security-analyst",
        )
        .await;
        let foreign = user(store, &door, &other, "foreign@example.com", "owner").await;

        let key = keys::create(store, &analyst, "scripts", Some(at(100)), at(0))
            .await
            .unwrap();
        let boss = keys::create(store, &owner, "boss", None, at(0))
            .await
            .unwrap();
        assert!(key.secret.starts_with("slk_") && key.secret.len() == 47);
        let come =
            async |key: Option<&str>, organisation: Option<&str>, user: Option<&str>, now| {
                let with = WithKey {
                    key,
                    organisation,
                    user,
                    correlation: "c-1",
                    address: "192.0.2.1",
                };
                door.actor_of_key(store, with, now).await
            };
        for (wrong, now) in [
            (None, 1),
            (Some(""), 1),
            (Some("slk_x"), 1),
            (Some(key.secret.as_str()), 100),
        ] {
            assert!(matches!(
                come(wrong, None, None, at(now)).await,
                Err(Refusal::Unauthenticated(_))
            ));
        }
        let actor = come(Some(&key.secret), None, None, at(1)).await.unwrap();
        assert_eq!(
            (
                actor.name.as_str(),
                &actor.organisation,
                actor.correlation.as_str()
            ),
            ("analyst@example.com", &machine.organisation, "c-1")
        );
        assert_eq!(actor.permissions, analyst.permissions);

        // Another organisation is not there, whether it is or not.
        let own = machine.organisation.as_str();
        assert!(
            come(Some(&key.secret), Some(own), None, at(1))
                .await
                .is_ok()
        );
        for text in [
            other.organisation.as_str(),
            "0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b",
            "x' OR 1=1",
        ] {
            let refused = come(Some(&key.secret), Some(text), None, at(1))
                .await
                .unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("there is no organisation {text}")
            );
        }

        // In another's name: what both may do, under both names.
        let (id, theirs) = (analyst.user.clone().unwrap(), foreign.user.clone().unwrap());
        assert!(matches!(
            come(Some(&key.secret), None, Some(id.as_str()), at(1)).await,
            Err(Refusal::Forbidden { .. })
        ));
        for text in [theirs.as_str(), "me"] {
            assert!(matches!(
                come(Some(&boss.secret), None, Some(text), at(1)).await,
                Err(Refusal::NotFound { .. })
            ));
        }
        let acting = come(Some(&boss.secret), None, Some(id.as_str()), at(1))
            .await
            .unwrap();
        assert_eq!(acting.name, "analyst@example.com (by boss@example.com)");
        assert_eq!(acting.permissions, analyst.permissions);
        assert!(matches!(
            keys::create(store, &acting, "more", None, at(1)).await,
            Err(Refusal::Denied(_))
        ));

        let list = async |actor: &Actor| {
            let filter = keys::Filter::default();
            keys::list(
                store,
                actor,
                &filter,
                (keys::Order::Name, Direction::Ascending),
                Page::default(),
            )
            .await
            .unwrap()
        };
        assert_eq!(
            (
                list(&analyst).await.total,
                list(&owner).await.total,
                list(&foreign).await.total
            ),
            (1, 2, 0)
        );
        assert_eq!(list(&analyst).await.items[0].used_at, Some(at(1)));
        assert!(matches!(
            keys::get(store, &analyst, &boss.id).await,
            Err(Refusal::NotFound { .. })
        ));
        assert!(matches!(
            keys::revoke(store, &analyst, &boss.id, at(2)).await,
            Err(Refusal::NotFound { .. })
        ));
        assert!(matches!(
            keys::revoke(store, &foreign, &boss.id, at(2)).await,
            Err(Refusal::NotFound { .. })
        ));
        keys::revoke(store, &owner, &key.id, at(2)).await.unwrap();
        assert!(come(Some(&key.secret), None, None, at(2)).await.is_err());

        // A user who may no longer come in has keys of no use.
        let again = keys::create(store, &analyst, "again", None, at(3))
            .await
            .unwrap();
        users::set_active(store, &owner, &id, false, at(3))
            .await
            .unwrap();
        assert!(come(Some(&again.secret), None, None, at(3)).await.is_err());
        users::set_active(store, &owner, &id, true, at(4))
            .await
            .unwrap();
        assert!(come(Some(&again.secret), None, None, at(4)).await.is_ok());
        users::remove(store, &owner, &id, at(5)).await.unwrap();
        assert!(come(Some(&again.secret), None, None, at(5)).await.is_err());
        assert!(
            keys::create(store, &owner, "late", Some(at(5)), at(6))
                .await
                .is_err()
        );
    })
    .await;
}

#[tokio::test]
async fn the_audit_log_is_the_organisations_own() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let here = organisation(store, &door, "Here", "here@example.com").await;
        let there = organisation(store, &door, "There", "there@example.com").await;
        organisations::rename(store, &here, "50%_here", at(10))
            .await
            .unwrap();
        let list = async |filter: audit::Filter| {
            let page = audit::list(store, &here, &filter, Page::default())
                .await
                .unwrap();
            page.items
                .into_iter()
                .map(|entry| (entry.action, entry.subject_name))
                .collect::<Vec<_>>()
        };
        let all = list(audit::Filter::default()).await;
        assert_eq!(
            all[0],
            ("organisation.rename".to_owned(), "50%_here".to_owned())
        );
        assert_eq!(all.len(), 3);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            list(audit::Filter {
                text: some("50%_"),
                ..Default::default()
            })
            .await
            .len(),
            1
        );
        assert_eq!(
            list(audit::Filter {
                text: some("5_%"),
                ..Default::default()
            })
            .await
            .len(),
            0
        );
        assert_eq!(
            list(audit::Filter {
                action: some("user.invite"),
                ..Default::default()
            })
            .await
            .len(),
            1
        );
        assert_eq!(
            list(audit::Filter {
                subject: some("user"),
                ..Default::default()
            })
            .await
            .len(),
            1
        );
        assert_eq!(
            list(audit::Filter {
                from: Some(at(10)),
                ..Default::default()
            })
            .await
            .len(),
            1
        );
        assert_eq!(
            list(audit::Filter {
                to: Some(at(10)),
                ..Default::default()
            })
            .await
            .len(),
            2
        );
        assert_eq!(
            list(audit::Filter {
                actor: some("COMMAND"),
                ..Default::default()
            })
            .await
            .len(),
            3
        );
        assert_eq!(
            list(audit::Filter {
                actor: some("there"),
                ..Default::default()
            })
            .await
            .len(),
            0
        );
        assert_eq!(
            audit::actions(store, &there).await.unwrap(),
            ["organisation.create", "user.invite"]
        );
    })
    .await;
}
