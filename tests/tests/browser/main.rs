//! The console in a real browser, as people use it: two agencies are set up, a hit is confirmed and asked about, two officers approve
//! with passkeys, the requester opens the release. Every page is looked at: wide, on a telephone, in the dark, with axe-core.
//!
//! `CONCORDAT_SCREENSHOTS=FOLDER cargo test -p concordat-tests --test browser` keeps a picture of every page.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

mod driver;

use std::sync::Arc;

use concordat_console::Console;
use concordat_node::clock::ManualClock;
use concordat_tests::{
    Agency, OWNER, Pair, Record, Run, Terms, born, document, free_port, item, name, person,
};
use driver::Browser;

/// An agency with its console.
struct Place {
    console: Console,
    origin: String,
    /// Of both agencies: two clocks far apart are refused.
    clocks: [Arc<ManualClock>; 2],
}

async fn agency(id: &str) -> Agency {
    let port = free_port().await;
    let section = format!("[console]\nlisten = \"127.0.0.1:{port}\"\n");
    Agency::configured(id, Run::Here, &[("console", &section)]).await
}

async fn place(agency: &Agency, other: &Agency) -> Place {
    let console = Console::start(agency.node())
        .await
        .expect("the console starts")
        .expect("it is configured");
    let origin = agency.node().state.config.console.origin();
    let clocks = [agency, other].map(|agency| Arc::clone(&agency.clock));
    Place {
        console,
        origin,
        clocks,
    }
}

async fn sign_in(browser: &Browser, place: &Place, officer: &str) {
    // Nobody signs in ten times a minute.
    for clock in &place.clocks {
        clock.advance(61);
    }
    browser.goto(&format!("{}/sign-in", place.origin)).await;
    browser.write("#officer", officer).await;
    browser.click("button.primary").await;
    browser.click("form.passkey button").await;
    browser.shows("Sign out").await;
}

async fn sign_out(browser: &Browser) {
    browser.click("form.who button").await;
    browser.shows("Your account").await;
}

/// The first two administrators register and sign; then everybody else is enrolled by links, and both administrators sign each.
async fn set_up(browser: &mut Browser, place: &Place, people: &[(&str, &str)], check: bool) {
    let setup = place.console.setup.clone().expect("nobody is registered yet");
    browser.goto(&setup).await;
    if check {
        browser.check("setup").await;
    }
    for admin in ["admin-1", "admin-2"] {
        browser.shows("administrator: account").await;
        browser.write("#officer", admin).await;
        browser.click("button.primary").await;
        browser.click("form.passkey button").await;
        browser.shows(&format!("{admin} has registered")).await;
    }
    browser.shows("Write down this number").await;
    browser.click("form.passkey button").await;
    browser.shows("admin-1 has signed").await;
    browser.click("form.passkey button").await;
    browser.shows("The register has been founded").await;
    for (officer, role) in people {
        sign_in(browser, place, "admin-1").await;
        browser.write("#officer", officer).await;
        browser.click(&format!("input[name=role][value={role}]")).await;
        browser.click("form[action='/admin/officers'] button").await;
        browser.shows("Give this link").await;
        let link = browser.read("code.digest").await;
        browser.goto(&link).await;
        if check && *officer == people[0].0 {
            browser.check("enrol").await;
        }
        browser.click("form.passkey button").await;
        browser.shows("Your passkey is registered").await;
        browser.goto(&format!("{}/admin", place.origin)).await;
        browser.shows("Changes that wait for signatures").await;
        if check && *officer == people[0].0 {
            browser.check("administration").await;
        }
        browser.click("form.passkey button").await;
        browser.shows("Another administrator has to").await;
        sign_out(browser).await;
        sign_in(browser, place, "admin-2").await;
        browser.click("form.passkey button").await;
        browser.loses("Changes that wait").await;
        sign_out(browser).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_officers_approve_and_the_requester_opens_the_release() {
    let (asker, owner) = (agency("aa-border").await, agency(OWNER).await);
    let pins = [&asker, &owner].map(|agency| agency.node().state.identity.api.pin().expect("a pin"));
    let Some(mut browser) = Browser::start(&pins).await else {
        return;
    };
    let (asking, owning) = (place(&asker, &owner).await, place(&owner, &asker).await);
    let pair = Pair::between(asker, owner, &Terms::default().disclosing()).await;
    let wanted = person(
        vec![name("MARKOV", "IVAN <script>alert(1)</script>")],
        vec![born(1975, 4, 12)],
        vec![document("P1234567", "RUS")],
    );
    let records = [Record {
        source_id: "W-1".into(),
        subject: Some(wanted),
    }];
    pair.owner.replace_list("wanted", &records).await;
    pair.refresh().await;
    set_up(&mut browser, &asking, &[("ivan", "analyst")], true).await;
    set_up(
        &mut browser,
        &owning,
        &[("anna", "officer"), ("ben", "officer"), ("otto", "auditor")],
        false,
    )
    .await;

    // A gate's query hits; the analyst finds it among the hits.
    let traveller = person(
        vec![name("MARKOV", "I")],
        vec![],
        vec![document("P1234567", "RUS")],
    );
    pair.asker.ask(vec![item("seat 1A", traveller)]).await;
    browser.goto(&format!("{}/sign-in", asking.origin)).await;
    browser.check("sign-in").await;
    sign_in(&browser, &asking, "ivan").await;
    browser.check("inbox").await;
    browser.goto(&format!("{}/?show=hits", asking.origin)).await;
    browser.click("table.cases a").await;
    browser.shows("Is it the same person or thing?").await;
    browser.check("hit").await;
    browser.click("input[name=comparison][value=SAME]").await;
    browser
        .write("#method", "document in hand <b>and</b> photograph")
        .await;
    browser.click("section.next button.primary").await;
    browser.shows("Ask for details").await;
    browser.click("section.next a.button").await;
    browser.shows("Longest sentence").await;
    browser.check("request").await;
    browser.choose("#intended_use", "INTELLIGENCE").await;
    browser.choose("#subject_class", "SUSPECT").await;
    browser
        .write("#facts", "stopped at the border; =HYPERLINK(\"x\")")
        .await;
    browser.write("#offence", "0801").await;
    browser.write("#months", "60").await;
    for field in ["a", "b", "d", "i"] {
        browser.click(&format!("input[name=field][value={field}]")).await;
    }
    browser.click("form button.primary").await;
    browser.shows("Asked for").await;
    sign_out(&browser).await;

    // The owner's side: anna takes it up and draws up the decision, anna and ben approve.
    sign_in(&browser, &owning, "anna").await;
    browser.click("table.cases a").await;
    browser.shows("Take it up").await;
    browser.check("case-asked").await;
    browser.click("section.next button.primary").await;
    browser.shows("Our record").await;
    browser.click("section.next a.button").await;
    browser.shows("Field by field").await;
    browser.click("input[name=do-i][value=release]").await;
    browser.write("#value-i", "forged documents").await;
    // Nothing is chosen for her: how it must be handled, and how sure it is.
    for (list, choice) in [("#handling", "H1"), ("#source", "A"), ("#information", "2")] {
        browser.choose(list, choice).await;
    }
    // A form with a mistake comes back as it was filled in.
    browser.click("input[name=do-d][value=withhold]").await;
    browser.click("form button.primary").await;
    browser.shows("something has to be mended").await;
    browser.shows("Go to the field").await;
    browser.click("input[name=do-d][value=release]").await;
    browser.check("decide").await;
    browser.click("form button.primary").await;
    browser.shows("You approve exactly what is shown").await;
    browser.check("approve").await;
    browser.click("form.passkey button").await;
    browser.shows("1 of 2 approvals").await;
    sign_out(&browser).await;
    sign_in(&browser, &owning, "ben").await;
    browser.click("table.cases a").await;
    browser.click("form.passkey button").await;
    browser.shows("Approved: to be released").await;
    browser.click("section.next button.primary").await;
    browser.shows("Released: to be opened").await;
    assert!(browser.text().await.contains("signature holds"));
    sign_out(&browser).await;

    // The requester opens it.
    sign_in(&browser, &asking, "ivan").await;
    browser.click("table.cases a").await;
    browser.shows("Open the release").await;
    browser.click("section.next button.primary").await;
    browser.shows("What was released").await;
    let text = browser.text().await;
    assert!(
        text.contains("MARKOV") && text.contains("forged documents") && text.contains("Handling H1"),
        "{text}"
    );
    assert!(
        text.contains("IVAN <script>alert(1)</script>"),
        "shown as it is, and not run: {text}"
    );
    browser.check("released").await;
    browser.choose("#outcome", "TRUE").await;
    browser.write("#action", "arrested").await;
    browser.click("section.next button.primary").await;
    browser.shows("Outcome known").await;
    sign_out(&browser).await;

    // The auditor replays it, and sees no value.
    sign_in(&browser, &owning, "otto").await;
    browser.shows("Ledger").await;
    browser.check("audit").await;
    browser.click("form[action='/audit/reconcile'] button").await;
    browser.shows("recorded alike on both sides").await;
    browser.check("reconciled").await;
    browser.click("table.cases a").await;
    browser.shows("signature holds").await;
    assert!(
        !browser.text().await.contains("forged documents"),
        "an auditor sees steps, no values"
    );
    browser.check("replay").await;
    browser.goto(&format!("{}/audit/reports", owning.origin)).await;
    browser.shows("Approvals per officer").await;
    browser.check("reports").await;
    let denied = browser
        .script(
            "return fetch('/admin').then(r => r.status)",
            serde_json::json!([]),
        )
        .await;
    assert_eq!(denied, 403, "an auditor administers nothing");
    assert_eq!(browser.checked.len(), 15, "{:?}", browser.checked);
}
