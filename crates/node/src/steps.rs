//! The steps of an entry's way into both ledgers, by name, so that a test can end the process after each of them.
//!
//! Like the clock and the generator, what happens there comes from [`Outside`](crate::Outside). No setting, option, variable or call
//! leads to it: a program would have to be written that starts a node with it, as the tests' own does.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A step that is done, in the order in which they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The entry is in the database with its number, and the sequencer has read it.
    Append,
    /// It has its place in the tree.
    Sequence,
    /// Tiles and entries are on disk; no checkpoint speaks of them.
    Tile,
    /// The checkpoint is signed, and nobody has it.
    Sign,
    /// The checkpoint is published.
    Checkpoint,
    /// In the partner's process: it has found that the checkpoint extends the one before, has kept it, and has not answered yet.
    Judge,
    /// The partner's cosignature is published.
    Cosign,
    /// The checkpoint that the partner cosigned is kept in the database.
    Keep,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Append,
        Self::Sequence,
        Self::Tile,
        Self::Sign,
        Self::Checkpoint,
        Self::Judge,
        Self::Cosign,
        Self::Keep,
    ];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Sequence => "sequence",
            Self::Tile => "tile",
            Self::Sign => "sign",
            Self::Checkpoint => "checkpoint",
            Self::Judge => "judge",
            Self::Cosign => "cosign",
            Self::Keep => "keep",
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|step| step.name() == name);
        found.ok_or_else(|| format!("no step is called {name}"))
    }
}

/// What happens after each step. By default nothing.
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Steps {
    /// Calls `after` when a step is done.
    pub fn new(after: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(after)))
    }

    pub(crate) fn passed(&self, step: Step) {
        if let Some(after) = &self.0 {
            after(step);
        }
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}
