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
}

/// What follows a hit, for all offers of the draft.
const DISCLOSURE: &str = r#"
# What follows a hit (docs/disclosure.md). Offers name the block as their disclosure_profile.
[[disclosure]]
profile = "prum"
# PRUM, EU977, NCIC, SIRENE: how soon an answer is due, and what stops the clock.
deadlines = "PRUM"
# What may be asked for: a first names, b family names, c other names, d date of birth, e nationalities, f place of birth,
# g gender, h biometrics taken, i offence, j case number, k authority; and x:name for more.
fields = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]
# Two officers must approve where one of these is released.
second_approver = ["i"]
# Passkeys only: nobody approves with a key in a file.
file_keys = false
# The offence must be punishable by at least so many months.
min_penalty_months = 12
max_open_days = 30
max_retention_days = 1096
"#;

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
        let whole = std::iter::once(head).chain(offers);
        Ok(whole.chain(std::iter::once(DISCLOSURE.to_owned())).collect())
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
             disclosure_profile = \"prum\"\n",
            id = quoted(&format!("{}-{}", self.owner, kind.name().replace('_', "-"))),
            owner = quoted(self.owner),
            requester = quoted(self.requester),
            lists = list(self.lists),
            kind = quoted(kind.name()),
            purposes = list(self.purposes),
            day = self.quota_per_day,
            // A key ends before 2^30 evaluations.
            epoch = self.quota_per_day.saturating_mul(20).min(1 << 30),
        )
    }
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
    use concordat_node::agreement::Agreement;

    use super::*;

    fn party(id: &str) -> String {
        let key = concordat_note::SigningKey::from_seed(id, &[id.as_bytes()[0]; 32])
            .expect("a name")
            .verifier();
        let pin = format!("{:02x}", id.as_bytes()[0]).repeat(32);
        format!(
            "[[party]]\nid = \"{id}\"\nname = \"{id}\"\nidentity_key = \"{key}\"\n\
             tls_spki_sha256 = \"{pin}\"\nendpoint = \"https://127.0.0.1:7443\"\n"
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
        }
        .text(Timestamp::now())
        .expect("a draft");
        let agreement = Agreement::parse(&text).expect("an agreement");
        assert_eq!(
            agreement.log_retention,
            Some(concordat_node::config::Keep::OneYear)
        );
        assert_eq!(agreement.offers.len(), Kind::ALL.len());
        assert_eq!(agreement.legal_bases, ["A \"quoted\" basis"]);
        assert!(agreement.epoch_at(Timestamp::now()).is_some(), "in force at once");
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
