//! Signing in, staying in, being put out.

use base64ct::{Base64UrlUnpadded, Encoding};
use concordat_disclosure::software_passkey::Flags;
use concordat_disclosure::{Assertion, Words};
use concordat_ledger::Digest;
use concordat_store::EntryFilter;
use serde_json::json;

use super::*;

/// What follows `before` up to the next quotation mark.
fn after<'a>(page: &'a str, before: &str) -> &'a str {
    let (_, rest) = page.split_once(before).expect(before);
    rest.split_once('"').expect("its end").0
}

/// An assertion as a browser gives it.
fn browser(assertion: &Assertion) -> String {
    let encoded = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    json!({
        "id": encoded(&assertion.credential.0), "rawId": encoded(&assertion.credential.0),
        "type": "public-key", "extensions": {},
        "response": {
            "authenticatorData": encoded(&assertion.authenticator_data.0),
            "clientDataJSON": encoded(&assertion.client_data.0),
            "signature": encoded(&assertion.signature.0),
            "userHandle": null,
        },
    })
    .to_string()
}

impl Place {
    /// The challenge for an account.
    async fn challenge(&self, officer: &str) -> String {
        let page = self.post("/sign-in", None, &[("officer", officer)]).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        after(&page.body, "name=\"challenge\" value=\"").to_owned()
    }

    fn answer(&mut self, whose: &str, challenge: &str, flags: Flags) -> String {
        let challenge: Digest = Hex::parse(challenge).expect("a challenge");
        let key = self.keys.get_mut(whose).expect("a key");
        browser(
            &key.assert(&challenge, &self.desk.console, flags)
                .expect("asserted"),
        )
    }

    async fn finish(&self, officer: &str, challenge: &str, answer: &str) -> Answer {
        let fields = [("officer", officer), ("challenge", challenge), ("answer", answer)];
        self.post("/sign-in/passkey", None, &fields).await
    }
}

#[tokio::test]
async fn a_passkey_opens_a_session_once() {
    let mut place = Place::new().await;
    let challenge = place.challenge("officer").await;
    let answer = place.answer("officer", &challenge, Flags::BOTH);
    let opened = place.finish("officer", &challenge, &answer).await;
    assert!(
        opened.status == StatusCode::SEE_OTHER && opened.goes_to("/"),
        "{}",
        opened.body
    );
    let cookie = opened.headers[header::SET_COOKIE]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(cookie.starts_with("__Host-concordat="), "{cookie}");
    for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let cookie = cookie.split(';').next().expect("the pair").to_owned();
    let inbox = place.get("/", Some(&cookie)).await;
    assert!(inbox.status == StatusCode::OK && inbox.body.contains("Inbox"));

    let again = place.finish("officer", &challenge, &answer).await;
    assert!(again.rule("CONS-011"), "a challenge is used up: {}", again.body);

    let csrf = after(&inbox.body, "name=\"csrf\" value=\"").to_owned();
    let out = place.post("/sign-out", Some(&cookie), &[("csrf", &csrf)]).await;
    assert!(out.goes_to("/sign-in"));
    assert!(place.get("/", Some(&cookie)).await.goes_to("/sign-in"));
    place.stop().await;
}

#[tokio::test]
async fn another_key_another_account_and_an_unverified_user_are_refused() {
    let mut place = Place::new().await;
    let challenge = place.challenge("officer").await;
    let answer = place.answer("analyst", &challenge, Flags::BOTH);
    let refused = place.finish("officer", &challenge, &answer).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.rule("CONS-012"), "{}", refused.body);

    let challenge = place.challenge("officer").await;
    let answer = place.answer("analyst", &challenge, Flags::BOTH);
    let refused = place.finish("analyst", &challenge, &answer).await;
    assert!(
        refused.rule("CONS-011"),
        "it was drawn for another: {}",
        refused.body
    );

    let challenge = place.challenge("officer").await;
    let present = Flags {
        present: true,
        verified: false,
    };
    let answer = place.answer("officer", &challenge, present);
    let refused = place.finish("officer", &challenge, &answer).await;
    assert!(refused.rule("CONS-012"), "{}", refused.body);

    let challenge = place.challenge("officer").await;
    place.clock.advance(181);
    let answer = place.answer("officer", &challenge, Flags::BOTH);
    let late = place.finish("officer", &challenge, &answer).await;
    assert!(late.rule("CONS-011"), "{}", late.body);
    assert!(late.headers.get(header::SET_COOKIE).is_none());
    place.stop().await;
}

#[tokio::test]
async fn nobody_learns_which_accounts_there_are() {
    let place = Place::new().await;
    let mut stranger = SoftwarePasskey::new(&[98; 32]).expect("a key");
    for garbled in ["x", "{}", ""] {
        let mut answers = Vec::new();
        for officer in ["supervisor", "zz-nobody"] {
            let challenge = place.challenge(officer).await;
            let drawn: Digest = Hex::parse(&challenge).expect("a challenge");
            // Well formed, with a key that nobody knows.
            let strange = stranger.assert(&drawn, &place.desk.console, Flags::BOTH);
            let answer = match garbled {
                "" => browser(&strange.expect("asserted")),
                garbled => garbled.to_owned(),
            };
            let refused = place.finish(officer, &challenge, &answer).await;
            assert!(refused.rule("CONS-012"), "{officer}: {}", refused.body);
            answers.push((refused.status, refused.body.replace(officer, "NAME")));
        }
        assert_eq!(answers[0], answers[1], "{garbled}");
    }
    let page = async |officer: &str| {
        let page = place.post("/sign-in", None, &[("officer", officer)]).await.body;
        let options = after(&page, "data-options=\"").to_owned();
        let options: serde_json::Value =
            serde_json::from_str(&options.replace("&quot;", "\"")).expect("options");
        let challenge = after(&page, "name=\"challenge\" value=\"");
        let bare = page
            .replace(challenge, "CHALLENGE")
            .replace(options["challenge"].as_str().expect("one"), "CHALLENGE")
            .replace(options["allowCredentials"][0]["id"].as_str().expect("one"), "KEY")
            .replace(officer, "NAME");
        (bare, options["allowCredentials"].clone())
    };
    let (known, _) = page("supervisor").await;
    let (unknown, keys) = page("zz-nobody").await;
    assert_eq!(known, unknown);
    assert_eq!(page("zz-nobody").await.1, keys, "the same at every try");
    assert_ne!(page("zz-other").await.1, keys);
    place.stop().await;
}

#[tokio::test]
async fn sign_ins_are_counted_by_officer_and_by_address() {
    let place = Place::empty().await;
    for _ in 0..crate::sign::OFFICER_TRIES {
        place.challenge("officer").await;
    }
    let refused = place.post("/sign-in", None, &[("officer", "officer")]).await;
    assert!(refused.status == StatusCode::TOO_MANY_REQUESTS && refused.rule("CONS-004"));
    for other in crate::sign::OFFICER_TRIES + 1..crate::sign::ADDRESS_TRIES {
        place.challenge(&format!("officer-{other}")).await;
    }
    let refused = place.post("/sign-in", None, &[("officer", "one-more")]).await;
    assert!(refused.rule("CONS-004"), "the address is over its number");
    let refused = place.finish("one-more", "00", "{}").await;
    assert!(refused.rule("CONS-004"), "answers count too");
    place.clock.advance(60);
    place.challenge("officer").await;
    place.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_time_its_key_and_its_officer() {
    let mut place = Place::new().await;
    let (cookie, _) = place.session("officer");
    place.clock.advance(14 * 60);
    assert_eq!(place.get("/", Some(&cookie)).await.status, StatusCode::OK);
    place.clock.advance(14 * 60);
    // What an open page does by itself keeps nobody signed in.
    assert_eq!(place.get("/events", Some(&cookie)).await.status, StatusCode::OK);
    place.clock.advance(60);
    assert!(
        place.get("/", Some(&cookie)).await.goes_to("/sign-in"),
        "idle for 15 minutes"
    );

    let (analyst, _) = place.session("analyst");
    let (auditor, _) = place.session("auditor");
    assert_eq!(place.get("/", Some(&analyst)).await.status, StatusCode::OK);
    let reason = Words::new("lost").expect("words");
    let key = OfficerKey::Passkey(place.keys["analyst"].public()).id();
    place
        .change(ChangeWhat::RevokeKey {
            officer: text("analyst"),
            key,
            reason: reason.clone(),
        })
        .await;
    assert!(
        place.get("/", Some(&analyst)).await.goes_to("/sign-in"),
        "the key is revoked"
    );
    assert_eq!(place.get("/audit", Some(&auditor)).await.status, StatusCode::OK);
    place
        .change(ChangeWhat::Retire {
            officer: text("auditor"),
            reason,
        })
        .await;
    assert!(
        place.get("/audit", Some(&auditor)).await.goes_to("/sign-in"),
        "retired"
    );
    place.stop().await;
}

#[tokio::test]
async fn a_signature_that_does_not_hold_costs_the_other_administrator_nothing() {
    let mut place = Place::new().await;
    let (first, csrf) = place.session("admin-1");
    let new = place.officer("new", Role::Analyst);
    let setups = &place.desk.setups;
    let proposed = setups.propose(&place.desk, ChangeWhat::Enrol(new)).await;
    proposed.expect("proposed");
    let page = place.get("/admin", Some(&first)).await.body;
    let change = after(&page, "name=\"change\" value=\"").to_owned();
    let answer = place.answer("admin-1", &change, Flags::BOTH);
    let sign = async |cookie: &str, answer: &str| {
        let fields = [
            ("csrf", csrf.as_str()),
            ("change", change.as_str()),
            ("answer", answer),
        ];
        place.post("/admin/changes", Some(cookie), &fields).await
    };
    assert!(sign(&first, &answer).await.goes_to("/admin"));
    let count = place.get("/admin", Some(&first)).await.body;
    assert!(
        count.contains("You have signed. Another administrator has to."),
        "{count}"
    );

    // The second signs something else.
    let (second, _) = place.session("admin-2");
    let other: Digest = Hex([9; 32]);
    let mut stolen = SoftwarePasskey::new(&[2; 32]).expect("the key of admin-2");
    let wrong = stolen
        .assert(&other, &place.desk.console, Flags::BOTH)
        .expect("asserted");
    let refused = sign(&second, &browser(&wrong)).await;
    assert!(!refused.goes_to("/admin"), "{}", refused.body);
    let right: Digest = Hex::parse(&change).expect("a digest");
    let right = stolen
        .assert(&right, &place.desk.console, Flags::BOTH)
        .expect("asserted");
    assert!(sign(&second, &browser(&right)).await.goes_to("/admin"));
    let registry = officers::registry(&place.desk.state).await.expect("read");
    let later = place.clock.now() + jiff::SignedDuration::from_secs(1);
    let enrolled = registry.officer(&text("new"), later).is_some();
    assert!(enrolled, "with both signatures the change is made");
    place.stop().await;
}

#[tokio::test]
async fn a_link_ends_after_an_hour_and_is_of_one_kind() {
    let place = Place::empty().await;
    let token = place.desk.setups.open(&place.desk).expect("a link");
    let setup = place.get(&format!("/setup/{token}"), None).await;
    assert!(setup.status == StatusCode::OK && setup.body.contains("First administrator"));
    let other = place.get(&format!("/enrol/{token}"), None).await;
    assert!(other.status == StatusCode::NOT_FOUND && other.rule("CONS-005"));
    let begun = place
        .post(&format!("/setup/{token}"), None, &[("officer", "admin-1")])
        .await;
    assert!(begun.body.contains("Register my passkey"), "{}", begun.body);
    assert!(
        setup.body.contains("for good"),
        "the address is shown: {}",
        setup.body
    );
    assert!(
        place
            .get("/sign-in", None)
            .await
            .body
            .contains("Nobody is registered here yet")
    );
    place.clock.advance(3_600);
    for late in [
        place.get(&format!("/setup/{token}"), None).await,
        place
            .post(&format!("/setup/{token}/key"), None, &[("answer", "{}")])
            .await,
    ] {
        assert!(
            late.status == StatusCode::NOT_FOUND && late.rule("CONS-005"),
            "{}",
            late.body
        );
        assert!(
            late.body
                .contains("start the node again, which prints a new link"),
            "there is no administrator to ask: {}",
            late.body
        );
    }
    place.stop().await;
}

#[tokio::test]
async fn after_the_founding_the_set_up_page_leads_to_the_sign_in() {
    let place = Place::new().await;
    let page = place.get("/setup/00", None).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body.contains("The register has been founded."),
        "{}",
        page.body
    );
    assert!(
        !place
            .get("/sign-in", None)
            .await
            .body
            .contains("Nobody is registered")
    );
    let late = place.get("/enrol/00", None).await;
    assert!(late.body.contains("ask an administrator"), "{}", late.body);
    place.stop().await;
}

#[tokio::test]
async fn a_link_of_the_command_line_leads_to_a_change_that_others_sign() {
    use concordat_node::desk::console;
    let mut place = Place::new().await;
    let state = Arc::clone(&place.desk.state);
    let person = |name: &str| Person {
        id: text(name),
        unit: None,
    };
    let refused = console::link(&state, person("admin"), person("admin-1"), BTreeSet::new()).await;
    assert_eq!(refused.expect_err("one other").rule, "DISC-050");
    let (link, until) = console::link(&state, person("admin"), person("analyst"), BTreeSet::new())
        .await
        .expect("a link");
    assert_eq!(until.as_second(), place.clock.seconds() + 3_600);
    let recorded = state
        .store
        .ledger_entries(&EntryFilter::default(), u32::MAX)
        .await;
    let recorded = recorded.expect("read").into_iter();
    let links = recorded.filter(|entry| entry.kind == "officer.linked").count();
    assert_eq!(links, 1, "who had it made is on record");
    let path = link.strip_prefix(place.desk.origin()).expect("at the console");
    let page = place.get(path, None).await.body;
    assert!(
        page.contains("analyst") && page.contains("a further key"),
        "{page}"
    );

    // As if registered on it: it waits, for the console and for the command line, until it is made on either.
    let key = OfficerKey::Passkey(SoftwarePasskey::new(&[99; 32]).expect("a key").public());
    let officer = text("analyst");
    let what = ChangeWhat::AddKey { officer, key };
    let setups = &place.desk.setups;
    setups.propose(&place.desk, what.clone()).await.expect("proposed");
    let waiting = console::waiting(&state).await.expect("read");
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].what, what);
    let founding = ChangeWhat::Found(vec![place.officer("late", Role::Administrator)]);
    place
        .desk
        .setups
        .propose(&place.desk, founding)
        .await
        .expect("kept");
    place.change(what).await;
    assert!(console::waiting(&state).await.expect("read").is_empty());
    place.stop().await;
}

#[tokio::test]
async fn links_that_cannot_be_kept_are_not_given() {
    let place = Place::new().await;
    let (cookie, csrf) = place.session("admin-1");
    let fields = [("csrf", csrf.as_str()), ("officer", "new"), ("role", "analyst")];
    for _ in 0..64 {
        let given = place.post("/admin/officers", Some(&cookie), &fields).await;
        assert_eq!(given.status, StatusCode::OK);
    }
    let refused = place.post("/admin/officers", Some(&cookie), &fields).await;
    assert!(refused.status == StatusCode::TOO_MANY_REQUESTS && refused.rule("CONS-006"));
    place.stop().await;
}
