//! What a shard asks of the process, and a core passes on.

use crate::app::Token;
use crate::app::home::Flow;
use crate::app::job::Job;
use crate::app::link::LinkOrder;
use crate::base::ids::AppId;
use crate::shard::io::Purpose;

/// The process behind one core. Nothing of it blocks; what comes back is a message to that core.
pub(crate) trait Outside {
    /// `purpose: None`: nobody waits for what comes of it.
    fn job(&self, app: AppId, purpose: Option<Purpose>, job: Job);

    /// An application's order about a link that it dials.
    fn link(&self, app: AppId, link: Token, order: LinkOrder);

    /// How that link is to be read, beside what the application says of it.
    fn link_flow(&self, app: AppId, link: Token, flow: Flow);

    /// The daemon ends, and the homes of this core have had their last word: links that they dial end with it.
    fn drain(&self);
}
