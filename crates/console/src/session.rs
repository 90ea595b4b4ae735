//! Who is signed in: kept in memory by the hash of a random token, for as long as somebody works.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use concordat_ledger::{Digest, Text};
use sha2::{Digest as _, Sha256};

/// Nobody stays signed in longer than a shift, in seconds.
const AT_MOST_S: i64 = 12 * 3_600;
/// Sessions at once.
const SESSIONS: usize = 10_000;
/// The cookie's name: the prefix makes browsers hold it to this host, over TLS.
pub(crate) const COOKIE: &str = "__Host-concordat";

/// One session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Who.
    pub(crate) officer: Text,
    /// With which key: if it is revoked the session ends.
    pub(crate) key: Digest,
    /// Goes into every form.
    pub(crate) csrf: [u8; 32],
    since: i64,
    last: i64,
}

/// All sessions.
pub(crate) struct Sessions {
    idle_s: i64,
    open: Mutex<HashMap<[u8; 32], Session>>,
}

fn name_of(token: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Sessions {
    pub(crate) fn new(idle_s: i64) -> Self {
        Self {
            idle_s,
            open: Mutex::default(),
        }
    }

    fn alive(&self, session: &Session, now: i64) -> bool {
        now - session.last < self.idle_s && now - session.since < AT_MOST_S
    }

    /// Opens a session under a fresh token.
    pub(crate) fn open(&self, token: &[u8; 32], csrf: [u8; 32], officer: Text, key: Digest, now: i64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| self.alive(session, now));
        if open.len() >= SESSIONS {
            // The one that was idle longest makes room.
            let oldest = open.iter().min_by_key(|(_, session)| session.last);
            if let Some(oldest) = oldest.map(|(name, _)| *name) {
                open.remove(&oldest);
            }
        }
        let session = Session {
            officer,
            key,
            csrf,
            since: now,
            last: now,
        };
        open.insert(name_of(token), session);
    }

    /// The session of a token; it lives on. `active` is false for what a page does by itself.
    pub(crate) fn of(&self, token: &[u8; 32], now: i64, active: bool) -> Option<Session> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name_of(token);
        let session = open.get_mut(&name)?;
        if !self.alive(session, now) {
            open.remove(&name);
            return None;
        }
        if active {
            session.last = now;
        }
        Some(session.clone())
    }

    /// Ends a session.
    pub(crate) fn close(&self, token: &[u8; 32]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&name_of(token));
    }
}

#[cfg(test)]
mod tests {
    use concordat_ledger::Hex;

    use super::*;

    fn sessions() -> Sessions {
        let sessions = Sessions::new(900);
        let anna = Text::new("anna").expect("a text");
        sessions.open(&[1; 32], [2; 32], anna, Hex([3; 32]), 1_000);
        sessions
    }

    #[test]
    fn a_session_ends_when_nobody_works_and_after_a_shift() {
        let sessions = sessions();
        assert!(sessions.of(&[1; 32], 1_899, true).is_some());
        assert!(
            sessions.of(&[1; 32], 2_700, false).is_some(),
            "the last click was at 1,899"
        );
        assert!(sessions.of(&[1; 32], 2_799, true).is_none());
        let sessions = self::sessions();
        let mut now = 1_000;
        while now < 1_000 + AT_MOST_S - 600 {
            now += 600;
            assert!(sessions.of(&[1; 32], now, true).is_some());
        }
        assert!(sessions.of(&[1; 32], now + 600, true).is_none());
    }

    #[test]
    fn another_token_is_nobodys_and_a_closed_one_too() {
        let sessions = sessions();
        assert!(sessions.of(&[9; 32], 1_001, true).is_none());
        sessions.close(&[1; 32]);
        assert!(sessions.of(&[1; 32], 1_001, true).is_none());
    }
}
