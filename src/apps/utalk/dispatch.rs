//! Where a message goes once it is stored: nowhere (it is sent by being there), or to a provider. The one seam between messages and providers.

use std::sync::Arc;

use super::conversation::{Row, WHATSAPP};
use super::message::{Kind, Message};
use super::settings::{ProviderKind, Settings};
use super::turn::Turn;

/// The carrier of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carrier {
    /// It is accepted at once.
    Nobody,
    /// It is `pending` until the provider has answered.
    Provider,
}

impl Carrier {
    /// The carrier of a message of this kind from its conversation to the customer.
    pub(super) fn of(row: &Row, kind: Kind, settings: &Settings) -> Carrier {
        let by_provider = settings.provider.kind != ProviderKind::Loopback && &*row.channel == WHATSAPP;
        if by_provider && kind != Kind::Note { Carrier::Provider } else { Carrier::Nobody }
    }
}

impl Turn<'_> {
    /// A stored message that is `pending` goes on its way. Those who wait for it are among [`super::scope::Scope::sends`]; what comes of it
    /// is told by [`Turn::end_sending`].
    pub(super) fn dispatch(&mut self, message: Arc<Message>) {
        self.end_sending(&message.message_id, &Err(super::perform::busy()));
    }
}
