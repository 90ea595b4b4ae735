//! Our own block `[[party]]` in agreements: as we give it, and whether a document has it right.

use concordat_wire::Fault;

use crate::agreement::Party;
use crate::desk::{console, officers, refused};
use crate::state::State;

impl State {
    /// Our block for an agreement's draft.
    ///
    /// # Errors
    /// Our disclosure key cannot be used; the database failed.
    pub async fn party_toml(&self) -> Result<String, Fault> {
        let disclosure_key = self.identity.disclosure.public().map_err(refused)?.digest();
        let (tls_spki, disclosure_key) = (hex::encode(self.peer_pin), hex::encode(disclosure_key.0));
        let identity_key = self.identity.signing.verifier().to_string();
        // The one that our keys belong to, once there are any.
        let console = console::origin(self).await?;
        let fields = [
            ("id", self.us()),
            ("name", &self.config.node.agency_name),
            ("identity_key", &identity_key),
            ("tls_spki_sha256", &tls_spki),
            ("endpoint", &self.config.peer.endpoint),
            ("disclosure_key_sha256", &disclosure_key),
            ("console", &console),
        ];
        let lines = fields.map(|(name, value)| format!("{name} = {}\n", toml::Value::from(value)));
        Ok(format!("[[party]]\n{}", lines.concat()))
    }

    /// Whether a document names our own keys and console, as far as it names them.
    pub(crate) async fn check_ours(&self, party: &Party) -> Result<(), Fault> {
        let disclosure_key = self.identity.disclosure.public().map_err(refused)?.digest();
        let keys = party.identity == self.identity.signing.verifier()
            && party.tls_spki == self.peer_pin
            && party.disclosure_key.is_none_or(|key| key == disclosure_key);
        if !keys {
            return Err(Fault::invalid(
                "AGR-028",
                "party",
                "the document names other keys for us than this node's: paste the block of `concordat agreement party`",
            ));
        }
        let Some(named) = &party.console else {
            return Ok(());
        };
        let ours = officers::relying_party(self).await?;
        if *named == ours {
            return Ok(());
        }
        let (named, ours) = (console::address(named), console::address(&ours));
        let message = if officers::founded_console(self).await?.is_some() {
            format!(
                "the document names {named} as our console, but our register of officers was founded at {ours}, to which our keys belong \
                 for good: paste the block of `concordat agreement party` again"
            )
        } else {
            format!(
                "the document names {named} as our console, but `[console]` of this node says {ours}: set it to what it will be and start \
                 the node again, or paste the block of `concordat agreement party` again"
            )
        };
        Err(Fault::invalid("AGR-039", "party.console", message))
    }
}
