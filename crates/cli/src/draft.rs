//! Drafts of agreements: the readable document that both sides sign.

use anyhow::{Context, Result};
use concordat_identifiers::Kind;
use concordat_node::agreement::MARKER;
use jiff::Timestamp;

/// What a draft says. Each kind gets an offer of its own, and so a key and a quota of its own.
pub struct Draft<'a> {
    /// Whose lists are asked.
    pub owner: &'a str,
    /// Who asks.
    pub requester: &'a str,
    /// The owner's lists.
    pub lists: &'a [String],
    /// What may be asked about.
    pub kinds: &'a [Kind],
    /// For what, by the names of the code list.
    pub purposes: &'a [String],
    /// On what legal bases.
    pub legal_bases: &'a [String],
    /// The `[[party]]` blocks that are known; our own is added by our node.
    pub parties: &'a str,
    /// Padded elements per day and offer.
    pub quota_per_day: u64,
    /// How long both sides keep what their ledgers say of exchanges, `one_year` or `three_years`; `None`: each as it is set up.
    pub log_retention: Option<&'a str>,
    /// Within what time the owner answers who asks for details of a hit: `PRUM`, `EU977`, `NCIC`, `SIRENE`. `None`: details are
    /// asked for by other means.
    pub disclosure: Option<&'a str>,
}

const HOUR_S: i64 = 3_600;
const YEAR_S: i64 = 365 * 24 * HOUR_S;

impl Draft<'_> {
    /// The document, valid for a year from an hour before `now`: two clocks never agree to the second.
    ///
    /// # Errors
    /// `now` is at the end of time.
    pub fn text(&self, now: Timestamp) -> Result<String> {
        let day = |seconds| Timestamp::from_second(now.as_second() + seconds).context("the clock");
        let head = format!(
            "{MARKER}\n\
             [agreement]\n\
             id = {id}\n\
             title = {title}\n\
             profile = {profile}\n\
             suite = {suite}\n\
             valid_from = \"{from}\"\n\
             valid_until = \"{until}\"\n\
             # Each offer gets a new key after so many days; the old one is destroyed.\n\
             epoch_days = 30\n\
             legal_bases = {bases}\n\
             {retention}\n\
             # `concordat agreement party` prints a block at each agency; our own is added when we propose.\n\
             {parties}\n",
            id = quoted(&format!("{}-{}", self.requester, self.owner)),
            title = quoted(&format!("{} asks {}", self.requester, self.owner)),
            profile = quoted(concordat_identifiers::PROFILE),
            suite = quoted(concordat_wire::SUITE),
            from = day(-HOUR_S)?,
            until = day(YEAR_S)?,
            bases = list(self.legal_bases),
            retention = self.retention(),
            parties = self.parties.trim_end(),
        );
        let offers = self.kinds.iter().map(|kind| self.offer(*kind));
        let head = std::iter::once(head).chain(self.disclosure.map(disclosure));
        Ok(head.chain(offers).collect())
    }

    fn retention(&self) -> String {
        let line = |keep| {
            format!("# How long both sides keep what their ledgers say.\nlog_retention = \"{keep}\"\n")
        };
        self.log_retention.map(line).unwrap_or_default()
    }

    /// One line of the agreement.
    pub fn offer(&self, kind: Kind) -> String {
        format!(
            "\n[[offer]]\n\
             id = {id}\n\
             owner = {owner}\n\
             requester = {requester}\n\
             lists = {lists}\n\
             kind = {kind}\n\
             purposes = {purposes}\n\
             # In padded elements.\n\
             quota_per_day = {day}\n\
             quota_per_epoch = {epoch}\n\
             reveal = \"requester_only\"\n\
             padding = \"quarter_octave\"\n\
             # How old an answer may be.\n\
             max_age_h = 24\n\
             # The rules for what follows a hit; \"none\": details are asked for by other means.\n\
             disclosure_profile = {disclosure}\n",
            id = quoted(&format!("{}-{}", self.owner, kind.name().replace('_', "-"))),
            owner = quoted(self.owner),
            requester = quoted(self.requester),
            lists = list(self.lists),
            kind = quoted(kind.name()),
            purposes = list(self.purposes),
            disclosure = quoted(self.disclosure.unwrap_or("none")),
            day = self.quota_per_day,
            // A key ends before 2^30 evaluations.
            epoch = self.quota_per_day.saturating_mul(20).min(1 << 30),
        )
    }
}

/// The rules for what follows a hit, each with what it means.
fn disclosure(deadlines: &str) -> String {
    format!(
        "\n\
         # What follows a hit in the offers that name this profile.\n\
         [[disclosure]]\n\
         profile = {name}\n\
         # How long the owner's officers may take: {meaning}.\n\
         deadlines = {name}\n\
         # What may be asked for: first, family and other names, date of birth, nationalities, place of birth, gender (a to\n\
         # g); whether biometrics were taken (h); offence, case number, authority (i to k). A list's own field is \"x:name\".\n\
         fields = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\", \"j\", \"k\"]\n\
         # These leave with the signatures of two officers; all others with one.\n\
         second_approver = [\"i\"]\n\
         # How many officers sign that nothing is released.\n\
         refusal_approvers = 1\n\
         # true: officers may sign with a key in a file as well, on the command line; false: with passkeys only.\n\
         file_keys = false\n\
         # From the 50th request within 24 hours a release waits for 10 minutes after the last signature.\n\
         bulk = {{ from = 50, wait_minutes = 10 }}\n\
         # The least maximum penalty of the offence, in months; 0: none.\n\
         min_penalty_months = 12\n\
         # SIENA's handling codes that a release may bear, and the highest classification.\n\
         handling = [\"H0\", \"H1\", \"H2\", \"H3\"]\n\
         max_classification = \"RESTRICTED\"\n\
         # How long a request may stay open, and how long a release may be held, in days.\n\
         max_open_days = 30\n\
         max_retention_days = 1096\n\
         # Third parties to whom a release may be passed on at all; each release says whether it may.\n\
         onward = []\n",
        name = quoted(deadlines),
        meaning = match deadlines {
            "EU977" => "8 hours if urgent, 3 days if the data are elsewhere, 7 days for all others",
            "NCIC" => "10 minutes if urgent, an hour for all others",
            "SIRENE" => "an hour if urgent, 12 hours for all others",
            _ => "48 hours",
        },
    )
}

fn quoted(text: &str) -> String {
    // JSON's and TOML's basic strings have the same escapes.
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

#[cfg(test)]
mod tests {
    use concordat_disclosure::codes::{Field, HandlingCode};
    use concordat_node::agreement::Agreement;

    use super::*;

    fn party(id: &str) -> String {
        let key = concordat_note::SigningKey::from_seed(id, &[id.as_bytes()[0]; 32])
            .expect("a name")
            .verifier();
        let pin = format!("{:02x}", id.as_bytes()[0]).repeat(32);
        format!(
            "[[party]]\nid = \"{id}\"\nname = \"{id}\"\nidentity_key = \"{key}\"\n\
             tls_spki_sha256 = \"{pin}\"\nendpoint = \"https://127.0.0.1:7443\"\n\
             disclosure_key_sha256 = \"{pin}\"\nconsole = \"https://{id}.example:7448\"\n"
        )
    }

    #[test]
    fn a_draft_with_both_parties_is_an_agreement() {
        let text = Draft {
            owner: "south",
            requester: "no",
            lists: &["stolen".into(), "lost".into()],
            kinds: &Kind::ALL,
            purposes: &["BORDER_CHECK".into(), "FUGITIVE".into()],
            legal_bases: &["A \"quoted\" basis".into()],
            parties: &format!("{}\n{}", party("south"), party("no")),
            quota_per_day: 1 << 29,
            log_retention: Some("one_year"),
            disclosure: Some("PRUM"),
        }
        .text(Timestamp::now())
        .expect("a draft");
        let agreement = Agreement::parse(&text).expect("an agreement");
        assert_eq!(
            agreement.log_retention,
            Some(concordat_ledger::Retention::OneYear)
        );
        assert_eq!(agreement.offers.len(), Kind::ALL.len());
        assert_eq!(agreement.legal_bases, ["A \"quoted\" basis"]);
        assert!(agreement.epoch_at(Timestamp::now()).is_some(), "in force at once");
        for offer in &agreement.offers {
            let rules = agreement.disclosure_rules(offer).expect("rules");
            let offence = [Field::Offence];
            assert_eq!(rules.approvers(&offence, HandlingCode::H0), 2);
            assert_eq!(rules.approvers(&[Field::FamilyNames], HandlingCode::H3), 1);
        }
    }

    #[test]
    fn the_documented_draft_is_an_agreement() {
        let doc = include_str!("../../../docs/cli.md");
        let (_, rest) = doc.split_once("```toml\n").expect("a draft");
        let (draft, _) = rest.split_once("```").expect("its end");
        let parsed = Agreement::parse(&format!("{MARKER}{draft}\n{}", party("north")));
        assert!(
            parsed.is_ok(),
            "{:?}; a key that would do:\n{}",
            parsed.err(),
            party("south")
        );
    }
}
