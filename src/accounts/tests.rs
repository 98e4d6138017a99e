//! Users, tokens and sessions, from change to change.

use super::*;
use std::collections::BTreeSet;

const DAY: Duration = Duration::from_hours(24);

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn permit(role: Role) -> Permit {
    Permit::new(role, BTreeSet::new()).unwrap()
}

fn added(user: &str, role: Role) -> Change {
    Change::UserAdded { user: name(user), permit: permit(role), password: PasswordHash::of_nobody(), by: None }
}

fn with(changes: &[Change]) -> Accounts {
    let mut accounts = Accounts::default();
    for change in changes {
        accounts.check(change).unwrap();
        accounts.apply(at(0), change);
    }
    accounts
}

fn token(expires_at: Option<u64>) -> (TokenId, SecretHash, Change) {
    let (id, secret) = (TokenId::of([1; 6]), secret::token_secret([2; 32]));
    let change = Change::TokenCreated {
        token: id.clone(),
        name: "till".to_owned(),
        permit: permit(Role::Viewer),
        secret,
        expires_at,
        by: None,
    };
    (id, secret, change)
}

#[test]
fn the_last_admin_stays() {
    let mut accounts = with(&[added("ann", Role::Admin), added("bo", Role::Staff)]);
    let remove = |user| Change::UserRemoved { user: name(user), by: None };
    let demote = Change::UserPermitted { user: name("ann"), permit: permit(Role::Staff), by: None };
    assert_eq!(accounts.check(&remove("ann")), Err(AccountError::LastAdmin(name("ann"))));
    assert_eq!(accounts.check(&demote), Err(AccountError::LastAdmin(name("ann"))));
    assert_eq!(accounts.check(&remove("bo")), Ok(()));
    accounts.apply(at(1), &added("cy", Role::Admin));
    assert_eq!((accounts.check(&remove("ann")), accounts.check(&demote)), (Ok(()), Ok(())));
    assert_eq!(accounts.check(&added("cy", Role::Staff)), Err(AccountError::UserExists(name("cy"))));
    assert_eq!(accounts.check(&remove("di")), Err(AccountError::NoUser(name("di"))));
}

#[test]
fn a_session_ends_idle_or_old_and_with_its_password() {
    let mut accounts = with(&[added("ann", Role::Admin)]);
    let key = |number: u8| SessionKey::of(&SessionKey::cookie([number; 32]));
    let open = |accounts: &mut Accounts, seconds: u64, number: u8| {
        accounts.open_session(at(seconds), &name("ann"), key(number), Came::WithPassword);
    };
    open(&mut accounts, 0, 1);
    assert_eq!(accounts.session(at(10), key(1)).unwrap().user(), Some(&name("ann")));
    assert!(accounts.session(at(10) + session::IDLE_MAX, key(1)).is_none(), "idle");
    open(&mut accounts, 0, 2);
    for hour in (0..session::AGE_MAX.as_secs()).step_by(3_600) {
        assert!(accounts.session(at(hour), key(2)).is_some(), "{hour}");
    }
    assert!(accounts.session(at(session::AGE_MAX.as_secs()), key(2)).is_none(), "old");
    open(&mut accounts, 0, 3);
    let chosen = Change::PasswordChosen { user: name("ann"), password: PasswordHash::of_nobody() };
    accounts.apply(at(1), &chosen);
    assert!(accounts.session(at(1), key(3)).is_none(), "another password");
    for number in 0..30 {
        open(&mut accounts, number.into(), number);
    }
    let open = (0..30).filter(|number| accounts.session(at(31), key(*number)).is_some()).count();
    assert_eq!(open, 20);
    accounts.close_session(&key(29));
    assert!(accounts.session(at(31), key(29)).is_none());
}

#[test]
fn a_token_holds_until_it_expires_or_is_revoked() {
    let (id, secret, change) = token(Some(at(100).as_micros()));
    let mut accounts = with(&[change]);
    assert!(accounts.use_token(at(99), &id, &secret::token_secret([3; 32])).is_none(), "another secret");
    assert_eq!(accounts.use_token(at(99), &id, &secret), Some((permit(Role::Viewer), UseIs::News)));
    assert_eq!(accounts.use_token(at(99), &id, &secret), Some((permit(Role::Viewer), UseIs::Known)));
    assert!(accounts.use_token(at(100), &id, &secret).is_none(), "expired");
    let (id, secret, change) = token(None);
    let mut accounts = with(&[change, Change::TokenUsed { token: token(None).0 }]);
    assert_eq!(accounts.use_token(at(0) + DAY, &id, &secret).unwrap().1, UseIs::News);
    accounts.apply(at(1), &Change::TokenRevoked { token: id.clone(), by: None });
    assert!(accounts.use_token(at(2), &id, &secret).is_none(), "revoked");
}

#[test]
fn what_is_shown_and_what_is_kept_belong_together() {
    let (id, secret) = (TokenId::of([0xAB; 6]), [7; 32]);
    let text = secret::token_text(&id, secret);
    assert_eq!(secret::read_token(&text), Some((id, secret::token_secret(secret))));
    for other in ["", "gondola_", "gondola_abababababab", "gondola_zz_00", "x"] {
        assert_eq!(secret::read_token(other), None, "{other}");
    }
    let password = secret::one_time_password([9; 20]);
    assert_eq!(password.len(), 23);
    let hash = PasswordHash::of(&password, [1; 16]).unwrap();
    assert!(hash.is_of(&password) && !hash.is_of("another one"));
    assert!(
        !PasswordHash::of_nobody().is_of("") && PasswordHash::of_nobody().to_string().parse::<PasswordHash>().is_ok()
    );
    assert_eq!(PasswordHash::of("short", [1; 16]), Err(secret::PasswordError::TooShort));
    assert_eq!(PasswordHash::of(&"x".repeat(257), [1; 16]), Err(secret::PasswordError::TooLong));
}

/// The forms on disk: do not change them.
#[test]
fn changes_are_pinned() {
    let only = Stores::Only(BTreeSet::from(["hz-001".parse().unwrap()]));
    let permit = Permit { role: Role::Staff, stores: only };
    let change = Change::UserPermitted { user: name("bo"), permit, by: Some(name("ann")) };
    let entry = crate::journal::Entry::Account(change);
    let json = r#"{"kind":"account","change":"user_permitted","user":"bo","permit":{"role":"staff","stores":{"only":["hz-001"]}},"by":"ann"}"#;
    assert_eq!(serde_json::to_string(&entry).unwrap(), json);
    assert_eq!(serde_json::from_str::<crate::journal::Entry>(json).unwrap(), entry);
    for change in [added("ann", Role::Admin), token(None).2, token(Some(1)).2] {
        let entry = crate::journal::Entry::Account(change);
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<crate::journal::Entry>(&json).unwrap(), entry, "{json}");
    }
}

#[test]
fn the_newest_acts_are_remembered() {
    let act = |number: usize| Act { who: "ann".into(), action: "POST".into(), path: number.to_string(), detail: None };
    let mut accounts = Accounts::default();
    (0..ACTS_MAX + 5).for_each(|number| accounts.apply(at(1), &Change::Acted(act(number))));
    assert_eq!(accounts.acts().count(), ACTS_MAX);
    assert_eq!(accounts.acts().next().unwrap().1.path, (ACTS_MAX + 4).to_string());
}
