//! Who gets through which door, and what stands on every answer.

use super::*;
use crate::routes::table;

/// An address with something in each place.
fn filled(path: &str) -> String {
    let id = "0".repeat(32);
    path.replace("{id}", &id)
        .replace("{attachment}", &id)
        .replace("{token}", "none")
}

fn assert_guarded(what: &str, answer: &Answer) {
    let header = |name: &str| {
        let value = answer.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    assert_eq!(
        header("content-security-policy"),
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
        "{what}"
    );
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("referrer-policy"), "same-origin", "{what}");
    assert_eq!(header("x-frame-options"), "DENY", "{what}");
    assert!(
        header("strict-transport-security").starts_with("max-age="),
        "{what}"
    );
    assert!(header("permissions-policy").contains("camera=()"), "{what}");
    let kept = if what.contains("/assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    assert_eq!(header("cache-control"), kept, "{what}");
}

/// Nothing that the policy of the page would refuse.
fn assert_no_inline(what: &str, answer: &Answer) {
    let kind = answer.headers.get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/html"))) {
        return;
    }
    let page = answer.body.to_lowercase();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        assert!(!tag.starts_with("style"), "{what}: a style element");
        assert!(
            !tag.starts_with("script") || tag.contains(" src=\"/assets/"),
            "{what}: <{tag}>"
        );
        assert!(
            !tag.contains(" style=") && !tag.contains("javascript:"),
            "{what}: <{tag}>"
        );
        let handler = tag
            .split_whitespace()
            .skip(1)
            .any(|attribute| attribute.starts_with("on"));
        assert!(
            !handler || !tag.contains("=\"") || !tag.contains(" on"),
            "{what}: <{tag}>"
        );
    }
    assert_eq!(page.matches("<h1").count(), 1, "{what}: one heading of the page");
    assert_eq!(page.matches("<main").count(), 1, "{what}");
}

#[tokio::test]
async fn every_route_lets_in_whom_it_names_and_nobody_else() {
    let place = Place::new().await;
    let people: Vec<(&str, Role)> = Role::ALL
        .iter()
        .map(|role| match role {
            Role::Administrator => ("admin-1", *role),
            role => (role.name(), *role),
        })
        .collect();
    let mut tried = 0;
    for route in table() {
        let path = filled(route.path);
        for method in ["GET", "POST"] {
            let send = async |cookie: Option<&str>, csrf: &str| match method {
                "GET" => place.get(&path, cookie).await,
                _ => place.post(&path, cookie, &[("csrf", csrf)]).await,
            };
            let stranger = send(None, "").await;
            if stranger.status == StatusCode::METHOD_NOT_ALLOWED {
                assert_guarded(&path, &stranger);
                continue;
            }
            let what = format!("{method} {path}");
            assert_guarded(&what, &stranger);
            assert_no_inline(&what, &stranger);
            let Some(roles) = route.roles else {
                assert!(!stranger.goes_to("/sign-in"), "{what}: before a sign-in");
                continue;
            };
            assert!(
                stranger.status == StatusCode::SEE_OTHER && stranger.goes_to("/sign-in"),
                "{what}: {} for a stranger",
                stranger.status
            );
            for (name, role) in &people {
                let (cookie, csrf) = place.session(name);
                let answer = send(Some(&cookie), &csrf).await;
                let what = format!("{what} as {name}");
                assert_guarded(&what, &answer);
                assert_no_inline(&what, &answer);
                let refused = answer.status == StatusCode::FORBIDDEN && answer.rule("CONS-002");
                assert_eq!(refused, !roles.contains(role), "{what}: {}", answer.status);
                assert!(answer.status != StatusCode::INTERNAL_SERVER_ERROR, "{what}");
                assert!(!answer.goes_to("/sign-in") || path == "/sign-out", "{what}");
                tried += 1;
            }
        }
    }
    assert!(tried > 90, "{tried} pairs of a door and a person");
    place.stop().await;
}

/// Two files for release give away what came between them: whoever downloads one is told beside the link.
#[tokio::test]
async fn who_releases_counts_is_told_what_two_files_give_away() {
    let place = Place::new().await;
    let (cookie, _) = place.session("auditor");
    let page = place.get("/audit/reports", Some(&cookie)).await;
    let (_, rest) = page.body.split_once("/audit/reports.csv").expect("the link");
    let (beside, _) = rest.split_once("<section").expect("what is counted");
    assert!(beside.contains(crate::texts::reports::NO_PERIOD), "{beside}");
    place.stop().await;
}

#[tokio::test]
async fn answers_that_no_page_gives_are_guarded_too() {
    let place = Place::empty().await;
    let missing = place.get("/no/such/page", None).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_guarded("a missing page", &missing);
    assert_no_inline("a missing page", &missing);
    let page = place.get("/sign-in", None).await;
    for (before, after) in [("href=\"/assets/", "\""), ("src=\"/assets/", "\"")] {
        let (_, rest) = page.body.split_once(before).expect("an asset");
        let (name, _) = rest.split_once(after).expect("its end");
        let path = format!("/assets/{name}");
        let asset = place.get(&path, None).await;
        assert_eq!(asset.status, StatusCode::OK, "{path}");
        assert_guarded(&path, &asset);
    }
    place.stop().await;
}

#[tokio::test]
async fn a_form_is_taken_from_a_page_of_this_session_only() {
    let place = Place::new().await;
    let (cookie, csrf) = place.session("admin-1");
    let right = [("csrf", csrf.as_str()), ("officer", "new"), ("role", "analyst")];
    let taken = place.post("/admin/officers", Some(&cookie), &right).await;
    assert_eq!(taken.status, StatusCode::OK);
    assert!(taken.body.contains("/enrol/"));

    for token in ["", "00", &hex::encode([8; 32]), "zz"] {
        let wrong = [("csrf", token), ("officer", "new"), ("role", "analyst")];
        let refused = place.post("/admin/officers", Some(&cookie), &wrong).await;
        assert!(
            refused.status == StatusCode::FORBIDDEN && refused.rule("CONS-001"),
            "{token:?}"
        );
    }
    let without = place.post("/admin/officers", Some(&cookie), &right[1..]).await;
    assert!(without.status == StatusCode::FORBIDDEN && without.rule("CONS-001"));

    // The right token does not help a page that is not ours.
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let mut request = place.form("/admin/officers", Some(&cookie), &right);
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        let refused = place.send(request).await;
        assert!(
            refused.status == StatusCode::FORBIDDEN && refused.rule("CONS-001"),
            "{name}: {value}"
        );
    }
    let mut silent = place.form("/admin/officers", Some(&cookie), &right);
    silent.headers_mut().remove(header::ORIGIN);
    assert_eq!(place.send(silent).await.status, StatusCode::FORBIDDEN);
    place.stop().await;
}

#[tokio::test]
async fn ledgers_are_compared_with_partners_only_and_by_a_form_of_this_session() {
    let place = Place::new().await;
    let (cookie, csrf) = place.session("auditor");
    let page = place.get("/audit", Some(&cookie)).await;
    assert!(page.body.contains("There are no partners."), "{}", page.body);
    let form = [("csrf", csrf.as_str()), ("partner", "bb-register")];
    let stranger = place.post("/audit/reconcile", Some(&cookie), &form).await;
    assert!(stranger.status == StatusCode::NOT_FOUND && stranger.rule("AUD-011"));
    let without = place.post("/audit/reconcile", Some(&cookie), &form[1..]).await;
    assert!(without.status == StatusCode::FORBIDDEN && without.rule("CONS-001"));
    let (cookie, csrf) = place.session("officer");
    let form = [("csrf", csrf.as_str()), ("partner", "bb-register")];
    let officer = place.post("/audit/reconcile", Some(&cookie), &form).await;
    assert!(officer.status == StatusCode::FORBIDDEN && officer.rule("CONS-002"));
    place.stop().await;
}

#[tokio::test]
async fn a_message_is_not_read_before_its_token() {
    let place = Place::new().await;
    let (cookie, csrf) = place.session("officer");
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let send = async |parts: String| {
        let mut request = place.form(&format!("{NO_CASE}/message"), Some(&cookie), &[]);
        let kind = "multipart/form-data; boundary=b".parse().expect("a value");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        *request.body_mut() = Body::from(format!("{parts}--b--\r\n"));
        place.send(request).await
    };
    let late = send(part("text", "hello") + &part("csrf", &csrf)).await;
    assert!(late.rule("CONS-001"), "{}", late.body);
    let wrong = send(part("csrf", &hex::encode([1; 32])) + &part("text", "hello")).await;
    assert!(wrong.rule("CONS-001"));
    let right = send(part("csrf", &csrf) + &part("text", "hello")).await;
    assert!(
        right.rule("DESK-002"),
        "it came as far as the case: {}",
        right.body
    );
    place.stop().await;
}

#[tokio::test]
async fn a_form_above_64_kib_is_refused_unread() {
    let place = Place::new().await;
    let (cookie, csrf) = place.session("analyst");
    let long = "x".repeat(65 << 10);
    let form = [
        ("csrf", csrf.as_str()),
        ("step", "take-up"),
        ("text", long.as_str()),
    ];
    let refused = place.post(&format!("{NO_CASE}/step"), Some(&cookie), &form).await;
    assert!(refused.status == StatusCode::PAYLOAD_TOO_LARGE && refused.rule("CONS-003"));
    let stranger = place.post("/sign-in", None, &[("officer", &long)]).await;
    assert_eq!(stranger.status, StatusCode::PAYLOAD_TOO_LARGE);
    place.stop().await;
}

#[tokio::test]
async fn a_case_of_others_is_like_one_of_nobody() {
    let place = Place::new().await;
    let (cookie, csrf) = place.session("officer");
    let mut bodies = BTreeSet::new();
    for id in [
        "00000000000000000000000000000000",
        "not-an-id",
        "ffffffffffffffffffffffffffffffff",
    ] {
        for page in ["", "/request", "/propose"] {
            let answer = place.get(&format!("/cases/{id}{page}"), Some(&cookie)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}{page}");
            bodies.insert(answer.body);
        }
        let form = [("csrf", csrf.as_str()), ("step", "take-up")];
        let answer = place
            .post(&format!("/cases/{id}/step"), Some(&cookie), &form)
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1, "one answer for all");
    place.stop().await;
}
