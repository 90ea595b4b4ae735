//! Whatever somebody writes, it stays text: in a page no markup, in a table no formula.

use concordat_disclosure::text::csv_cell;
use concordat_ledger::{Reason as Why, Unmatched};
use concordat_node::reconcile::{Compared, LISTED, Outcome};
use concordat_wire::{Fault, Reason};
use maud::Markup;
use proptest::prelude::*;

use super::cases::row;
use super::*;
use crate::form::Form;
use crate::layout;
use crate::pages::{chart, inbox, reconcile};

/// A comparison that a partner's words ended.
fn refused(text: &str) -> Outcome {
    Outcome {
        at: ManualClock::new(START).now(),
        result: Err(Fault::new(Reason::Unavailable, "PEER-020", text)),
    }
}

/// A page's parts with `text` wherever a text of somebody else goes.
fn views(text: &str) -> Vec<Markup> {
    let now = ManualClock::new(START).now();
    vec![
        inbox::table(&[row(text)], now),
        chart::bars(text, &[(text.to_owned(), 3.0)], text),
        layout::trouble(text, text),
        Form::default().line("name", text, text),
        reconcile::result(text, &refused(text)),
    ]
}

/// The markup alone: what a browser would build.
fn skeleton(page: &str) -> Vec<String> {
    let tags = page.split('<').skip(1);
    let names = tags.map(|tag| {
        let tag = tag.split('>').next().unwrap_or_default();
        let name = tag.split_whitespace().next().unwrap_or_default();
        format!("{name} {}", tag.matches('"').count())
    });
    names.collect()
}

fn hostile() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "<script>alert(1)</script>",
        "\"",
        "'",
        "<",
        ">",
        "&",
        "&lt;",
        "<img src=x onerror=alert(1)>",
        "javascript:",
        "\" onfocus=\"x",
        "</textarea>",
        "</title>",
        "<!--",
        "=1+1",
        "@SUM(A1)",
        "\u{202e}",
        "é",
        "a",
    ]);
    prop::collection::vec(parts, 1..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_text_never_becomes_markup(text in hostile()) {
        for (written, plain) in views(&text).iter().zip(views("plain")) {
            prop_assert_eq!(skeleton(&written.0), skeleton(&plain.0));
        }
    }

    #[test]
    fn a_cell_never_becomes_a_formula(text in hostile()) {
        let cell = csv_cell(&text);
        let inner = cell.strip_prefix('"').expect("quoted");
        prop_assert!(!inner.starts_with(['=', '+', '-', '@', '\t', '\r']), "{}", cell);
    }
}

#[tokio::test]
async fn names_filters_and_reasons_are_shown_as_text() {
    let mut place = Place::new().await;
    let evil = "<script>alert(1)</script>\"x";
    let new = place.officer(evil, Role::Analyst);
    place.change(ChangeWhat::Enrol(new)).await;
    let (cookie, csrf) = place.session("admin-1");
    let fields = [
        ("csrf", csrf.as_str()),
        ("officer", evil),
        ("what", "retire"),
        ("reason", "<img src=x onerror=alert(1)>"),
    ];
    assert!(
        place
            .post("/admin/keys", Some(&cookie), &fields)
            .await
            .goes_to("/admin")
    );
    let (officer, _) = place.session("officer");
    let query: String = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    for page in [
        place.get("/admin", Some(&cookie)).await,
        place
            .get(
                &format!("/?show={query}&state={query}&partner={query}"),
                Some(&officer),
            )
            .await,
        place.post("/sign-in", None, &[("officer", evil)]).await,
    ] {
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("&lt;script&gt;"), "it is shown");
        assert!(
            !page.body.contains("<script>") && !page.body.contains("<img"),
            "and inert"
        );
    }
    place.stop().await;
}

#[test]
fn a_comparison_says_what_does_not_match_and_what_it_leaves_out() {
    let unmatched = |number: u64| Unmatched {
        exchange: Hex([0xab; 16]),
        first: Some(number),
        second: None,
        reason: Why::MissingAtOwner,
    };
    let shown = |compared: Compared| {
        let outcome = Outcome {
            at: ManualClock::new(START).now(),
            result: Ok(compared),
        };
        reconcile::result("bb-register", &outcome).into_string()
    };
    let page = shown(Compared {
        unmatched: 500,
        listed: (0..LISTED as u64).map(unmatched).collect(),
        too_young: 3,
        ..Compared::default()
    });
    assert!(page.contains(&format!("{LISTED} of 500")), "{page}");
    assert_eq!(page.matches(&"ab".repeat(16)).count(), LISTED);
    assert_eq!(page.matches("does not say that it was given").count(), LISTED);
    assert!(page.contains("3 exchanges of the last 15 minutes"), "{page}");
    assert!(shown(Compared::default()).contains("no exchange to compare"));
    let page = shown(Compared {
        matched: 1,
        ..Compared::default()
    });
    assert!(
        page.contains("recorded alike on both sides") && !page.contains("<table"),
        "{page}"
    );
}
