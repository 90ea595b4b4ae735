//! What the ledger's entries about our own affairs have in common: who did it, why, and with which configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use concordat_ledger::{Actor, ConfigurationChanged, Event, Why};
use concordat_store::{NewEntry, StoreError};
use concordat_wire::Fault;
use concordat_wire::v1::ChangeContext;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::Request;

use crate::agreement::is_label;
use crate::book::store_fault;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::ledger::{digest, person, seal, text};
use crate::listen::Caller;
use crate::state::State;

/// Under which name the configuration of the last start is kept.
const FACT: &str = "configuration";

/// Who called, in the ledger's words: a client by the name on its certificate.
pub fn caller<T>(request: &Request<T>) -> Actor {
    Actor::Person(match request.extensions().get::<Caller>() {
        Some(Caller::Client { name, .. }) => person(name),
        Some(Caller::Loopback) => person("loopback"),
        // No listener of ours hands such a call to a service of our own systems.
        Some(Caller::Partner(_)) | None => person("unknown"),
    })
}

/// Why records are changed. What the caller does not say is recorded as not stated.
///
/// # Errors
/// `LIST-009` names the field that no record can hold.
pub fn why(context: Option<&ChangeContext>) -> Result<Why, Fault> {
    let stated = |name: &str, value: Option<&str>, default: &str| match value {
        None | Some("") => Ok(text(default)),
        Some(value) if is_label(value) => Ok(text(value)),
        Some(_) => Err(Fault::invalid(
            "LIST-009",
            format!("context.{name}"),
            "at most 128 printable characters",
        )),
    };
    let of = |field: fn(&ChangeContext) -> &str| context.map(field);
    Ok(Why {
        purpose: stated("purpose", of(|context| &context.purpose), "list maintenance")?,
        legal_basis: stated("legal_basis", of(|context| &context.legal_basis), "not stated")?,
        case_reference: stated(
            "case_reference",
            of(|context| &context.case_reference),
            "not stated",
        )?,
    })
}

/// The officer who changes records, if the caller names one: their author from then on.
///
/// # Errors
/// `LIST-009`: no officer has such an id.
pub fn officer(field: &str, named: &str) -> Result<Option<String>, Fault> {
    match named {
        "" => Ok(None),
        named if is_label(named) => Ok(Some(named.to_owned())),
        _ => Err(Fault::invalid(
            "LIST-009",
            field,
            "at most 128 printable characters",
        )),
    }
}

/// Who changes records, in the ledger's words: the officer, or the client if it names none.
pub fn changer(officer: Option<&str>, client: Actor) -> Actor {
    officer.map_or(client, |officer| Actor::Person(person(officer)))
}

/// Why an entry could not be made inside of a transaction, kept for whoever asked for the change.
#[derive(Default)]
pub struct Refused(OnceLock<Fault>);

impl Refused {
    /// The entry, if it could be made.
    pub fn keep(&self, entry: Result<NewEntry, Fault>) -> Option<NewEntry> {
        entry.map_err(|fault| self.0.set(fault)).ok()
    }

    /// What the caller hears of the store's error.
    pub fn fault(&self, error: &StoreError) -> Fault {
        match (error, self.0.get()) {
            (StoreError::NotRecorded, Some(fault)) => fault.clone(),
            _ => store_fault(error),
        }
    }
}

/// An entry of somebody who works on the data folder while the node does not run; the next start publishes it.
///
/// # Errors
/// It is too large.
pub fn entry_of_stopped_node(config: &Config, event: impl Into<Event>) -> Result<NewEntry, Fault> {
    seal(
        SystemClock.now(),
        &Entropy::system(),
        config.ledger.retention,
        event,
    )
}

/// Who works on the data folder while the node does not run: the operating system let them.
pub fn local_operator() -> Actor {
    Actor::Person(person("local operator"))
}

/// Records which settings differ from those of the last start. The settings hold no secret: those are in files that they
/// name.
///
/// # Errors
/// The database failed.
pub async fn record_configuration(state: &State) -> Result<(), Fault> {
    let now = settings(&state.config)?;
    let kept = state
        .store
        .fact(FACT)
        .await
        .map_err(|error| store_fault(&error))?;
    let before: BTreeMap<String, Value> = kept
        .as_deref()
        .and_then(|kept| serde_json::from_str(kept).ok())
        .unwrap_or_default();
    if before == now && kept.is_some() {
        return Ok(());
    }
    if state.ledger.halted().is_some() {
        tracing::error!("the configuration was changed; it is recorded when the ledger goes on");
        return Ok(());
    }
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name));
    let encode = |settings: &BTreeMap<String, Value>| {
        serde_json::to_string(settings)
            .map_err(|error| Fault::internal(format!("writing the settings down: {error}")))
    };
    let text_now = encode(&now)?;
    let entry = state.entry(ConfigurationChanged {
        by: Actor::Node,
        settings: changed.map(|name| text(name)).collect(),
        before: digest(Sha256::digest(encode(&before)?).into()),
        after: digest(Sha256::digest(&text_now).into()),
    })?;
    state
        .store
        .recording(entry)
        .set_fact(FACT, &text_now, state.now_ms())
        .await
        .map_err(|error| store_fault(&error))
}

/// Every setting by its name, `snapshot.poll_interval_s`.
fn settings(config: &Config) -> Result<BTreeMap<String, Value>, Fault> {
    let mut config = config.clone();
    // JSON has no words for a path that is no text.
    config.node.data_dir = config.node.data_dir.to_string_lossy().into_owned().into();
    let value = serde_json::to_value(&config)
        .map_err(|error| Fault::internal(format!("reading the settings: {error}")))?;
    let mut settings = BTreeMap::new();
    flatten(String::new(), value, &mut settings);
    Ok(settings)
}

fn flatten(name: String, value: Value, settings: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = match name.is_empty() {
                    true => member,
                    false => format!("{name}.{member}"),
                };
                flatten(name, value, settings);
            }
        }
        value => drop(settings.insert(name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_stated_is_recorded_so() {
        let why_of = |context| why(Some(&context));
        let all = why_of(ChangeContext {
            purpose: "correction".into(),
            legal_basis: "Art. 16".into(),
            case_reference: "C-7".into(),
            officer: "P-4711".into(),
        });
        let all = all.expect("stated");
        assert_eq!(
            (
                all.purpose.as_str(),
                all.legal_basis.as_str(),
                all.case_reference.as_str()
            ),
            ("correction", "Art. 16", "C-7")
        );
        let none = why(None).expect("not stated");
        assert_eq!(none, why_of(ChangeContext::default()).expect("empty"));
        assert_eq!(
            (
                none.purpose.as_str(),
                none.legal_basis.as_str(),
                none.case_reference.as_str()
            ),
            ("list maintenance", "not stated", "not stated")
        );
        let refused = why_of(ChangeContext {
            case_reference: "a\nb".into(),
            ..ChangeContext::default()
        });
        let refused = refused.expect_err("two lines");
        assert_eq!(
            (refused.rule, refused.field.as_deref()),
            ("LIST-009", Some("context.case_reference"))
        );
    }

    #[test]
    fn an_author_is_who_is_named_and_nobody_else() {
        let named = |id| officer("context.officer", id);
        assert_eq!(named("").expect("nobody"), None);
        let anna = named("anna").expect("an officer");
        let client = || Actor::Person(person("records-system"));
        assert_eq!(changer(anna.as_deref(), client()), Actor::Person(person("anna")));
        assert_eq!(changer(None, client()), client());
        let refused = named("a\nb").expect_err("two lines");
        assert_eq!(
            (refused.rule, refused.field.as_deref()),
            ("LIST-009", Some("context.officer"))
        );
    }

    #[test]
    fn settings_have_names() {
        let config = Config::parse(
            "[node]\nagency_id = \"aa\"\nagency_name = \"A\"\ndata_dir = \".\"\n[peer]\nlisten = \"127.0.0.1:1\"\n\
             endpoint = \"https://127.0.0.1:1\"\n[api]\nlisten = \"127.0.0.1:2\"\n",
        );
        let settings = settings(&config.expect("a configuration")).expect("settings");
        assert_eq!(settings["snapshot.poll_interval_s"], 60);
        assert_eq!(settings["api.insecure_loopback_listen"], Value::Null);
        assert_eq!(settings["ledger.retention"], "three_years");
    }
}
