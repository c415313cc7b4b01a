//! What the guest sends on one channel of a stream: how much it may, and what of it is
//! shown.
//!
//! The guest spends credit, and its client grants credit for what it got. Where values
//! of secrets are hidden the two are not the same bytes, so the difference is kept here:
//! what the client will never grant is granted in its place, and what it grants in
//! excess is kept from the guest.

use bytes::Bytes;
use guest_protocol::frame::INITIAL_CREDIT;
use redaction::{Redactor, Veil};

/// How many bytes that the guest sent and its client never got are granted again
/// at once.
const SURPLUS_MIN: i64 = INITIAL_CREDIT as i64 / 4;

/// What the guest sends on one channel.
#[derive(Debug)]
pub(crate) struct Flow {
    credit: u32,
    /// `None` if nothing may be altered.
    redactor: Option<Redactor>,
    /// Bytes that the guest has sent in excess of those that went to the client.
    /// Below zero the client got more, and grants what the guest must not have.
    surplus: i64,
}

impl Flow {
    /// A flow of which nothing was sent yet; without a veil nothing in it is altered.
    pub(crate) fn new(veil: Option<Veil>) -> Self {
        let redactor = veil.map(Redactor::following);
        Self { credit: INITIAL_CREDIT, redactor, surplus: 0 }
    }

    /// The guest has sent so many bytes; an error says how many too many.
    pub(crate) fn spend(&mut self, bytes: u32) -> Result<(), u32> {
        if bytes > self.credit {
            return Err(bytes - self.credit);
        }
        self.credit -= bytes;
        Ok(())
    }

    /// What of the guest's bytes the client gets now, and what the guest is
    /// granted for those that the client will never grant.
    pub(crate) fn pass(&mut self, bytes: Bytes) -> (Bytes, u32) {
        let Some(redactor) = self.redactor.as_mut() else { return (bytes, 0) };
        if redactor.hides_nothing() {
            return (bytes, 0);
        }
        let shown = Bytes::from(redactor.push(&bytes));
        // Frames and forms of values are bounded, far below these types' limits.
        let length = |bytes: &Bytes| i64::try_from(bytes.len()).expect("bounded");
        self.surplus += length(&bytes) - length(&shown);
        if self.surplus < SURPLUS_MIN {
            return (shown, 0);
        }
        let due = u32::try_from(std::mem::take(&mut self.surplus)).expect("bounded");
        self.regain(due);
        (shown, due)
    }

    /// What the guest is granted of what its client grants.
    pub(crate) fn grant(&mut self, bytes: u32) -> u32 {
        let withheld = u32::try_from(-self.surplus).unwrap_or(0).min(bytes);
        self.surplus += i64::from(withheld);
        self.regain(bytes - withheld);
        bytes - withheld
    }

    /// What the guest is granted for bytes that go to nobody.
    pub(crate) fn regain(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// What a guest lacks of what it had at first; it is granted that.
    pub(crate) fn top_up(&mut self) -> u32 {
        let missing = INITIAL_CREDIT.saturating_sub(self.credit);
        self.regain(missing);
        missing
    }

    /// What was held back.
    pub(crate) fn rest(self) -> Bytes {
        self.redactor.map(|redactor| redactor.finish().into()).unwrap_or_default()
    }
}
