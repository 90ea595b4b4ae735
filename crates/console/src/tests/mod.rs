//! The console without a browser: a real node, one officer of each role, requests as a browser or an attacker sends them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod cases;
mod doors;
mod forms;
mod inert;
mod sign_in;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use concordat_disclosure::software_passkey::SoftwarePasskey;
use concordat_disclosure::{Change, ChangeWhat, Document, NewOfficer, OfficerKey, Role};
use concordat_ledger::{Hex, Person, Text};
use concordat_node::clock::{Clock, ManualClock};
use concordat_node::config::Config;
use concordat_node::desk::officers;
use concordat_node::{Node, Outside, identity};
use tower::ServiceExt;

use crate::listen::Peer;
use crate::session::COOKIE;
use crate::{Desk, router};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;
const NO_CASE: &str = "/cases/00000000000000000000000000000000";

fn text(text: &str) -> Text {
    Text::new(text).expect("a text")
}

/// A node with a console, and its officers: `admin-1`, `admin-2` and one of each other role, named like it.
struct Place {
    desk: Arc<Desk>,
    router: Router,
    clock: Arc<ManualClock>,
    keys: BTreeMap<String, SoftwarePasskey>,
    node: Node,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn rule(&self, rule: &str) -> bool {
        self.body.contains(&format!("<code>{rule}</code>"))
    }

    fn goes_to(&self, place: &str) -> bool {
        self.headers
            .get(header::LOCATION)
            .is_some_and(|location| location == place)
    }
}

impl Place {
    /// A console that nobody has an account on.
    async fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        identity::create(folder.path(), "aa-border", &names, &mut rand::rng()).expect("keys");
        let path = folder.path().join("concordat.toml");
        let config = "[node]\nagency_id = \"aa-border\"\nagency_name = \"Border\"\ndata_dir = \".\"\n\
                      [peer]\nlisten = \"127.0.0.1:0\"\nendpoint = \"https://127.0.0.1:7443\"\n\
                      [api]\nlisten = \"127.0.0.1:0\"\n\
                      [console]\nlisten = \"127.0.0.1:7448\"\nsession_minutes = 15\n\
                      [compute]\nthreads = 1\n";
        std::fs::write(&path, config).expect("written");
        let clock = Arc::new(ManualClock::new(START));
        let outside = Outside {
            clock: Arc::clone(&clock) as _,
            ..Outside::default()
        };
        let config = Config::load(&path).expect("a configuration");
        let node = Node::start(config, outside).await.expect("a node");
        let desk = Desk::new(Arc::clone(&node.state)).await.expect("a console");
        Self {
            router: router(Arc::clone(&desk)),
            desk,
            clock,
            keys: BTreeMap::new(),
            node,
            _folder: folder,
        }
    }

    /// One officer of each role.
    async fn new() -> Self {
        let mut place = Self::empty().await;
        let admins = vec![
            place.officer("admin-1", Role::Administrator),
            place.officer("admin-2", Role::Administrator),
        ];
        place.change(ChangeWhat::Found(admins)).await;
        for role in Role::ALL {
            if *role != Role::Administrator {
                let new = place.officer(role.name(), *role);
                place.change(ChangeWhat::Enrol(new)).await;
            }
        }
        place
    }

    fn officer(&mut self, name: &str, role: Role) -> NewOfficer {
        let seed = u8::try_from(self.keys.len() + 1).expect("a few");
        let key = SoftwarePasskey::new(&[seed; 32]).expect("a key");
        let new = NewOfficer {
            person: Person {
                id: text(name),
                unit: None,
            },
            roles: BTreeSet::from([role]),
            accounts: BTreeSet::new(),
            keys: vec![OfficerKey::Passkey(key.public())],
        };
        self.keys.insert(name.to_owned(), key);
        new
    }

    /// Both administrators sign a change.
    async fn change(&mut self, what: ChangeWhat) {
        // What was registered in this second holds from the next millisecond on.
        self.clock.advance(1);
        let registry = officers::registry_or_nobody(&self.desk.state)
            .await
            .expect("read");
        let (sequence, previous) = registry.head();
        let change = Change {
            agency: text("aa-border"),
            sequence: sequence + 1,
            previous: if sequence == 0 { Hex([0; 32]) } else { previous },
            at: self.clock.now(),
            what,
        };
        let digest = change.digest().expect("a digest");
        let mut approvals = Vec::new();
        for admin in ["admin-1", "admin-2"] {
            let key = self.keys.get_mut(admin).expect("an administrator");
            let approval = key.approve(&text(admin), &digest, &self.desk.console);
            approvals.push(approval.expect("signed"));
        }
        officers::change_registry(&self.desk.state, change, approvals)
            .await
            .expect("changed");
        self.clock.advance(1);
    }

    /// A session of this officer, as after a sign-in: what a browser sends along, and what stands in its forms.
    fn session(&self, name: &str) -> (String, String) {
        let mut token = [0; 32];
        token[..name.len()].copy_from_slice(name.as_bytes());
        let key = OfficerKey::Passkey(self.keys[name].public()).id();
        let now = self.clock.seconds();
        self.desk.sessions.open(&token, [7; 32], text(name), key, now);
        (format!("{COOKIE}={}", hex::encode(token)), hex::encode([7; 32]))
    }

    async fn send(&self, mut request: Request<Body>) -> Answer {
        let address: SocketAddr = "127.0.0.1:50000".parse().expect("an address");
        request.extensions_mut().insert(Peer(address));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let streams = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind == "text/event-stream");
        let body = if streams {
            String::new()
        } else {
            let bytes = axum::body::to_bytes(body, 16 << 20).await.expect("a body");
            String::from_utf8(bytes.to_vec()).expect("text")
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> Answer {
        let mut request = Request::get(path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// A form as a browser sends it from a page of ours.
    async fn post(&self, path: &str, cookie: Option<&str>, fields: &[(&str, &str)]) -> Answer {
        let request = self.form(path, cookie, fields);
        self.send(request).await
    }

    fn form(&self, path: &str, cookie: Option<&str>, fields: &[(&str, &str)]) -> Request<Body> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::ORIGIN, self.desk.origin())
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request.body(Body::from(body)).expect("a request")
    }

    async fn stop(self) {
        self.node.stop().await;
    }
}
