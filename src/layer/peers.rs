//! [`Peer`]: what lets layers see all shards of a batch that are computed side by side.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::error::{Error, Result};

/// One of the shards of a batch, which are computed at the same time, each by a thread of its own.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Whether it is the first one of this process.
    first: bool,
    /// Nothing at the end.
    said: Sender<Option<Vec<f64>>>,
    answers: Mutex<Receiver<Vec<Vec<f64>>>>,
}

/// The other side of a [`Peer`]: what it says, and the answers.
pub(crate) type PeerEnds = (Receiver<Option<Vec<f64>>>, Sender<Vec<Vec<f64>>>);

impl Peer {
    pub(crate) fn new(first: bool) -> (Self, PeerEnds) {
        let ((said, heard), (answer, answers)) = (channel(), channel());
        (Peer { first, said, answers: Mutex::new(answers) }, (heard, answer))
    }

    pub(crate) fn is_first(&self) -> bool {
        self.first
    }

    /// What each shard of the batch passed here, in their order. All of them call it equally often.
    pub(crate) fn all_gather(&self, numbers: Vec<f64>) -> Result<Vec<Vec<f64>>> {
        let gone = || Error::argument("all_gather", "shards that all go on", "one that ended");
        self.said.send(Some(numbers)).map_err(|_| gone())?;
        self.answers.lock().map_err(|_| gone())?.recv().map_err(|_| gone())
    }

    /// Says that nothing follows.
    pub(crate) fn end(&self) {
        // Nobody may be there any more to hear it.
        let _ = self.said.send(None);
    }
}
