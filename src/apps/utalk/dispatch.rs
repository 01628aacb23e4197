//! Where a message goes once it is stored: nowhere (it is sent by being there), or to a provider. The one seam between messages and providers.

use super::conversation::{Row, WHATSAPP};
use super::message::Kind;
use super::settings::{ProviderKind, Settings};

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
