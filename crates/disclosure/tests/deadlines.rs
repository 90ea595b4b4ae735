//! Deadlines by the law, and the clock that stands still.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use concordat_disclosure::deadline::*;
use concordat_disclosure::event::*;
use concordat_disclosure::*;
use concordat_ledger::Hex;
use jiff::SignedDuration;

#[test]
fn the_profiles_say_what_the_law_says() {
    let urgent = Urgency::Urgent(words("Child in danger."));
    let indirect = Urgency::UrgentIndirect(words("Child in danger."));
    for (profile, minutes) in [
        (Profile::Prum, [2880, 2880, 2880]),
        (Profile::Eu977, [480, 4320, 10080]),
        (Profile::Ncic, [10, 10, 60]),
        (Profile::Sirene, [60, 60, 720]),
    ] {
        for (urgency, minutes) in [&urgent, &indirect, &Urgency::Normal].into_iter().zip(minutes) {
            assert_eq!(
                profile.limit(urgency),
                SignedDuration::from_mins(minutes),
                "{profile:?}"
            );
        }
    }
}

#[test]
fn reminders_come_at_half_four_fifths_and_the_end() {
    let clock = Clock::start(at(0), SignedDuration::from_mins(100));
    for (minutes, percent, reminder) in [
        (0, 0, None),
        (49, 49, None),
        (50, 50, Some(Reminder::Half)),
        (80, 80, Some(Reminder::SecondDesk)),
        (100, 100, Some(Reminder::Overdue)),
        (150, 150, Some(Reminder::Overdue)),
    ] {
        let reading = clock.read(at(minutes));
        assert_eq!((reading.percent, reading.reminder), (percent, reminder));
        assert_eq!(reading.overdue, minutes > 100);
        assert_eq!(reading.left, SignedDuration::from_mins(100 - minutes));
    }
}

#[test]
fn judicial_authorisation_stops_the_clock_and_a_question_does_not() {
    let fixture = Fixture::new();
    let world = fixture.owner();
    let case = fixture.triage();
    let due = |case: &AnyCase, now| case.clock(at(now)).unwrap();
    assert_eq!(due(&case, 10).due, at(2880));

    let asked = case
        .step(&world, &owner(100, "finn"), What::InfoAsked(Hex([1; 32])))
        .unwrap();
    assert!(!due(&asked, 200).stopped);
    let case = take(
        asked,
        &world,
        &requester(200, "rita"),
        What::InfoGiven(Hex([2; 32])),
    )
    .unwrap();
    assert_eq!(due(&case, 200).due, at(2880));

    let case = case
        .step(&world, &owner(300, "finn"), What::JudicialAwaited(words("Court")))
        .unwrap();
    let reading = due(&case, 5000);
    assert!(reading.stopped && !reading.overdue);
    assert_eq!(reading.left, SignedDuration::from_mins(2580));
    let case = case
        .step(&world, &owner(1300, "finn"), What::JudicialGiven(words("12 Gs")))
        .unwrap();
    assert_eq!(due(&case, 1300).due, at(3880));
    assert!(due(&case, 3881).overdue);
}

#[test]
fn the_clock_ends_with_the_decision() {
    let mut fixture = Fixture::new();
    let (case, _) = fixture.decided();
    let reading = case.clock(at(9_000)).unwrap();
    assert!(!reading.overdue);
    assert_eq!(reading.left, SignedDuration::from_mins(2880 - 32));
}

#[test]
fn agreed_deadlines_may_stop_for_questions_and_must_make_sense() {
    let mut fixture = Fixture::new();
    let custom = Custom {
        urgent_minutes: 30,
        urgent_indirect_minutes: 60,
        normal_minutes: 120,
        stops_for_judicial: true,
        stops_for_information: true,
        more_time: false,
    };
    fixture.rules.deadlines = Profile::Custom(custom.clone());
    fixture.rules.check().unwrap();
    let case = fixture.triage();
    let case = case
        .step(
            &fixture.owner(),
            &owner(60, "finn"),
            What::InfoAsked(Hex([1; 32])),
        )
        .unwrap();
    let reading = case.clock(at(600)).unwrap();
    assert!(reading.stopped && reading.percent == 50);
    for bad in [
        Custom {
            urgent_minutes: 0,
            ..custom.clone()
        },
        Custom {
            normal_minutes: 59,
            ..custom.clone()
        },
        Custom {
            urgent_indirect_minutes: 29,
            ..custom
        },
    ] {
        fixture.rules.deadlines = Profile::Custom(bad);
        assert_eq!(fixture.rules.check().unwrap_err().rule.id, "DISC-004");
    }
}

#[test]
fn rules_that_cannot_be_kept_are_refused() {
    type Edit = fn(&mut Rules);
    let edits: [Edit; 10] = [
        |r| r.requester = r.owner.clone(),
        |r| r.purposes.clear(),
        |r| r.fields.clear(),
        |r| r.refusal_approvers = 0,
        |r| r.quorums[0].approvers = 0,
        |r| r.bulk.from = 1,
        |r| r.max_open_days = 0,
        |r| r.handling.clear(),
        |r| r.console.origins = [text("http://console.owner.example")].into(),
        |r| r.console.origins = [text("https://owner.example.evil")].into(),
    ];
    rules().check().unwrap();
    for edit in edits {
        let mut rules = rules();
        edit(&mut rules);
        assert_eq!(rules.check().unwrap_err().rule.id, "DISC-004");
    }
}
