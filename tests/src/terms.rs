//! Two agencies and what they agree on.

use concordat_wire::v1::{Purpose, Record};

use crate::agency::Agency;

/// When every test begins: Monday 2 March 2026, ten o'clock. The agreement is one day old.
pub const START: i64 = 1_772_445_600;
/// What tests ask for unless they say otherwise.
pub const PURPOSE: Purpose = Purpose::BorderCheck;
/// On what basis.
pub const LEGAL_BASIS: &str = "EU:2024/982:26";
/// The agency whose list is asked.
pub const OWNER: &str = "bb-register";

/// One line of an agreement.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its id.
    pub id: String,
    /// Whose lists.
    pub owner: String,
    /// Who asks.
    pub requester: String,
    /// The owner's list.
    pub list: String,
    /// Name of the kind.
    pub kind: String,
    /// Padded elements.
    pub quota_per_day: u64,
    /// Padded elements.
    pub quota_per_epoch: u64,
    /// How old a snapshot may be.
    pub max_age_h: u32,
}

impl Offer {
    /// An offer of the owner's list `wanted`, with more quota than a test uses.
    pub fn new(id: &str, kind: &str) -> Self {
        Self {
            id: id.into(),
            owner: OWNER.into(),
            requester: "aa-border".into(),
            list: "wanted".into(),
            kind: kind.into(),
            quota_per_day: 1_000_000,
            quota_per_epoch: 10_000_000,
            max_age_h: 24,
        }
    }
}

/// The draft of an agreement.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its id.
    pub id: String,
    /// Lifetime of a key.
    pub epoch_days: u32,
    /// How long both keep what their ledgers say; each as it is configured, if `None`.
    pub log_retention: Option<&'static str>,
    /// What may be asked.
    pub offers: Vec<Offer>,
    /// What follows a hit: lines of the block `[[disclosure]]`; no block if empty.
    pub disclosure: String,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            id: "aa-bb-2026".into(),
            epoch_days: 7,
            log_retention: None,
            offers: vec![
                Offer::new("docs", "travel_document"),
                Offer::new("people", "person"),
            ],
            disclosure: String::new(),
        }
    }
}

impl Terms {
    /// With rules of disclosure: passkeys and file keys, two officers for an offence.
    #[must_use]
    pub fn disclosing(mut self) -> Self {
        self.disclosure = "second_approver = [\"i\"]\nfile_keys = true\nmin_penalty_months = 12\n\
                           onward = [\"cc-customs\"]\n"
            .into();
        self
    }

    /// The same with every quota set.
    #[must_use]
    pub fn quota(mut self, per_day: u64, per_epoch: u64) -> Self {
        for offer in &mut self.offers {
            (offer.quota_per_day, offer.quota_per_epoch) = (per_day, per_epoch);
        }
        self
    }

    /// The draft's text, with the blocks of both parties.
    pub fn draft(&self, parties: [&str; 2]) -> String {
        let mut text = format!(
            "[agreement]\nid = \"{}\"\ntitle = \"Trial\"\nprofile = \"{}\"\nsuite = \"{}\"\n\
             valid_from = \"2026-03-01T10:00:00Z\"\nvalid_until = \"2027-03-01T10:00:00Z\"\nepoch_days = {}\n\
             legal_bases = [\"{LEGAL_BASIS}\"]\n{}\n{}\n{}\n",
            self.id,
            concordat_identifiers::PROFILE,
            concordat_wire::SUITE,
            self.epoch_days,
            self.log_retention
                .map(|keep| format!("log_retention = \"{keep}\"\n"))
                .unwrap_or_default(),
            parties[0],
            parties[1],
        );
        for offer in &self.offers {
            text += &format!(
                "[[offer]]\nid = \"{}\"\nowner = \"{}\"\nrequester = \"{}\"\nlists = [\"{}\"]\nkind = \"{}\"\n\
                 purposes = [\"BORDER_CHECK\", \"DOCUMENT_FRAUD\"]\nquota_per_day = {}\nquota_per_epoch = {}\n\
                 reveal = \"requester_only\"\npadding = \"octave\"\nmax_age_h = {}\n\
                 disclosure_profile = \"PRUM\"\n\n",
                offer.id,
                offer.owner,
                offer.requester,
                offer.list,
                offer.kind,
                offer.quota_per_day,
                offer.quota_per_epoch,
                offer.max_age_h,
            );
        }
        if !self.disclosure.is_empty() {
            text += &format!("[[disclosure]]\nprofile = \"PRUM\"\n{}", self.disclosure);
        }
        text
    }
}

/// Two agencies with an agreement in force.
pub struct Pair {
    /// Asks: `aa-border`.
    pub asker: Agency,
    /// Is asked: `bb-register`.
    pub owner: Agency,
    /// The agreement's id.
    pub agreement: String,
}

impl Pair {
    /// Two agencies whose owner has published `records` as list `wanted`, which the asker has fetched.
    pub async fn with(terms: Terms, records: Vec<Record>) -> Self {
        let asker = Agency::new("aa-border").await;
        let owner = Agency::new(OWNER).await;
        let pair = Self::between(asker, owner, &terms).await;
        pair.owner.replace_list("wanted", &records).await;
        pair.refresh().await;
        pair
    }

    /// Signs the terms; nothing is published yet.
    pub async fn between(asker: Agency, owner: Agency, terms: &Terms) -> Self {
        agree(&asker, &owner, terms).await;
        Self {
            asker,
            owner,
            agreement: terms.id.clone(),
        }
    }

    /// The owner publishes, the asker fetches.
    pub async fn refresh(&self) {
        self.owner.publish().await;
        self.asker.fetch().await.expect("fetched");
    }

    /// Moves both clocks.
    pub fn advance(&self, seconds: i64) {
        self.asker.clock.advance(seconds);
        self.owner.clock.advance(seconds);
    }

    /// Padded elements the owner has charged under an offer in this epoch.
    pub async fn charged(&self, offer: &str) -> u64 {
        self.owner.usage(&self.agreement, offer).await.used_epoch
    }
}

/// The asker proposes, the owner signs, both hold the agreement in force.
pub(crate) async fn agree(asker: &Agency, owner: &Agency, terms: &Terms) {
    use concordat_wire::v1::agreement::Status;
    let draft = terms.draft([&asker.party().await, &owner.party().await]);
    let proposed = asker.propose(&draft).await.expect("proposed");
    let signed = owner.sign(&proposed.note).await.expect("signed");
    assert_eq!(signed.status(), Status::Active, "the owner holds both signatures");
    let kept = asker.agreement(&terms.id).await.expect("known");
    assert_eq!(kept.status(), Status::Active, "so does the asker");
}
