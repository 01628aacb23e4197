//! What utalk keeps on disk: its tables (`ut_*`). Statements about them are in files by what they are about, each with its list; rows are types of
//! the things they are of.
//!
//! Every row is of a scope. `change` is the scope's number of a row's last change, strictly rising in the order of commits: what a client has
//! missed are the rows beyond the number it knows. `born` is the number of the change that made a message; its id says it, too, so that it is found by
//! its id without an index of ids. Most messages never change: those that have are in an index of their own.

pub(crate) mod accounts;
pub(crate) mod calls;
pub(crate) mod conversations;
pub(crate) mod escalations;
pub(crate) mod lists;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod retention;
pub(crate) mod sync;
pub(crate) mod users;
pub(crate) mod work;

use crate::app::settings::Word;
use crate::app::sql::{Migration, Row, RowError, Tables};

/// For the row of the table of applications.
pub(crate) const TABLES: Tables = Tables {
    owner: "utalk",
    migrations: &[
        Migration { what: "the tables", sql: CREATE },
        Migration { what: "calls of a provider", sql: calls::ADD_CALLS },
        Migration { what: "what goes with time", sql: retention::ADD_RETENTION },
    ],
    statements: &[
        accounts::BY_EMAIL,
        accounts::BY_ID,
        accounts::CREATE,
        accounts::SET_STATUS,
        accounts::END_OF_USER,
        accounts::ISSUE,
        accounts::USE_UP,
        accounts::END_FAMILY,
        accounts::SWEEP,
        calls::DUE,
        calls::BEGIN,
        calls::REST,
        calls::SETTLE,
        calls::RAISE,
        calls::NAMED,
        calls::LEFT,
        calls::UNFINISHED,
        conversations::CREATE,
        conversations::ADVANCE,
        conversations::RECEIVE,
        conversations::ANNOTATE,
        conversations::READ,
        conversations::AMEND,
        conversations::BY_ID,
        conversations::HORIZONS,
        conversations::MOVE_HORIZON,
        lists::CONVERSATIONS,
        lists::CONVERSATIONS_END,
        lists::CONVERSATIONS_COUNT,
        lists::MESSAGES,
        lists::FILES,
        lists::MESSAGES_COUNT,
        lists::FIGURES,
        escalations::BEGIN,
        escalations::BEGIN_BY_WORD,
        escalations::OFFER,
        escalations::DECIDE,
        escalations::END,
        escalations::BY_ID,
        media::ADD,
        media::BY_ID,
        media::OF_CONVERSATION,
        media::COUNT,
        messages::ADD,
        messages::BY_MESSAGE_ID,
        messages::BY_EITHER_ID,
        messages::MARK_READ,
        messages::PASSED,
        messages::USE_MEDIA,
        retention::FORGET_LOG,
        retention::FORGET_FILES,
        retention::NEXT,
        retention::OLD_BODIES,
        retention::OLD_IDS,
        retention::DROP_RELEASED,
        retention::STRIP,
        retention::QUIET,
        retention::DROP_BODILESS,
        retention::RELEASE,
        retention::MARK,
        sync::LAST_CHANGES,
        sync::CHANGED,
        sync::CHANGED_END,
        sync::OPEN,
        sync::OPEN_END,
        sync::MISSED,
        sync::MISSED_END,
        users::OF_SCOPE,
        users::PUT,
        users::CHOOSE,
        users::SEEN,
        work::LOADS,
        work::LAST_GIVEN,
        work::GIVE,
        work::WAITING,
        work::WAITING_COUNT,
        work::LATE_BOT,
        work::LATE_AGENT,
        work::OF_AGENT,
        work::LATE_SCOPES,
    ],
};

/// A column that holds one of the words of an enum.
pub(crate) fn word<W: Word>(row: &mut Row<'_>, table: &'static str, column: &'static str) -> Result<W, RowError> {
    let text: std::sync::Arc<str> = row.get(column)?;
    W::of(&text).ok_or_else(|| RowError { table, column, why: format!("holds {text}, which is none of its words") })
}

const CREATE: &str = "
CREATE TABLE ut_conversations (
    scope {text} NOT NULL,
    id {text} NOT NULL,
    channel {text} NOT NULL,
    customer {text} NOT NULL,
    ours {text} NOT NULL,
    status {text} NOT NULL,
    assigned {text},
    assigned_at {int},
    bot_enabled {int} NOT NULL,
    customer_name {text},
    priority {text} NOT NULL,
    tags {text} NOT NULL,
    last_seq {int} NOT NULL,
    last_inbound {int} NOT NULL,
    read_seq {int} NOT NULL,
    read_inbound {int} NOT NULL,
    rev {int} NOT NULL,
    change {int} NOT NULL,
    last_message {text},
    last_inbound_at {int},
    unanswered_at {int},
    ahead {int} NOT NULL,
    offer {text},
    offer_to {text},
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    closed_at {int},
    PRIMARY KEY (scope, id)
) {strict_by_key};
CREATE INDEX ut_conversations_change ON ut_conversations (scope, change);
CREATE INDEX ut_conversations_begun ON ut_conversations (scope, created_at);
CREATE INDEX ut_conversations_assigned ON ut_conversations (scope, assigned, status) WHERE assigned IS NOT NULL;
CREATE INDEX ut_conversations_active ON ut_conversations (scope, assigned) WHERE assigned IS NOT NULL AND status <> 'closed';
CREATE INDEX ut_conversations_waiting ON ut_conversations (scope, bot_enabled, ahead, unanswered_at)
    WHERE unanswered_at IS NOT NULL AND assigned IS NULL AND status <> 'closed';
CREATE INDEX ut_conversations_late ON ut_conversations (unanswered_at, scope)
    WHERE unanswered_at IS NOT NULL AND (status = 'open' OR status = 'pending');

CREATE TABLE ut_messages (
    scope {text} NOT NULL,
    born {int} NOT NULL,
    id {text} NOT NULL,
    message_id {text} NOT NULL,
    conversation_id {text} NOT NULL,
    seq {int} NOT NULL,
    inbound {int} NOT NULL,
    kind {text} NOT NULL,
    text {text},
    media_id {text},
    metadata {text} NOT NULL,
    sender {text} NOT NULL,
    author {text},
    direction {text} NOT NULL,
    status {text} NOT NULL,
    error {text},
    reason {text},
    attempt {int} NOT NULL,
    sid {text},
    sent_at {int},
    delivered_at {int},
    read_at {int},
    created_at {int} NOT NULL,
    change {int} NOT NULL,
    PRIMARY KEY (scope, born)
) {strict};
CREATE UNIQUE INDEX ut_messages_message_id ON ut_messages (message_id, scope);
CREATE UNIQUE INDEX ut_messages_sid ON ut_messages (scope, sid) WHERE sid IS NOT NULL;
CREATE INDEX ut_messages_seq ON ut_messages (scope, conversation_id, seq);
CREATE INDEX ut_messages_changed ON ut_messages (scope, change) WHERE change <> born;

CREATE TABLE ut_horizons (
    scope {text} NOT NULL,
    conversation_id {text} NOT NULL,
    reader {text} NOT NULL,
    seq {int} NOT NULL,
    inbound {int} NOT NULL,
    at {int} NOT NULL,
    PRIMARY KEY (scope, conversation_id, reader)
) {strict_by_key};

CREATE TABLE ut_users (
    scope {text} NOT NULL,
    id {text} NOT NULL,
    email {text},
    name {text},
    role {text} NOT NULL,
    password {text},
    status {text} NOT NULL,
    chosen {text} NOT NULL,
    created_at {int} NOT NULL,
    last_seen {int},
    assigned_at {int},
    PRIMARY KEY (scope, id)
) {strict_by_key};
CREATE INDEX ut_users_email ON ut_users (scope, email);
CREATE UNIQUE INDEX ut_users_account ON ut_users (email) WHERE password IS NOT NULL;

CREATE TABLE ut_refresh_tokens (
    id {text} NOT NULL PRIMARY KEY,
    family {text} NOT NULL,
    scope {text} NOT NULL,
    user_id {text} NOT NULL,
    used_at {int},
    expires_at {int} NOT NULL
) {strict_by_key};
CREATE INDEX ut_refresh_tokens_user ON ut_refresh_tokens (scope, user_id);
CREATE INDEX ut_refresh_tokens_family ON ut_refresh_tokens (family);
CREATE INDEX ut_refresh_tokens_end ON ut_refresh_tokens (expires_at);

CREATE TABLE ut_escalations (
    scope {text} NOT NULL,
    id {text} NOT NULL,
    conversation_id {text} NOT NULL,
    reason {text} NOT NULL,
    from_agent {text},
    to_agent {text},
    status {text} NOT NULL,
    notes {text},
    rejection {text},
    created_at {int} NOT NULL,
    decided_at {int},
    decided_by {text},
    PRIMARY KEY (scope, id)
) {strict_by_key};
CREATE INDEX ut_escalations_conversation ON ut_escalations (scope, conversation_id);

CREATE TABLE ut_media (
    scope {text} NOT NULL,
    id {text} NOT NULL,
    conversation_id {text} NOT NULL,
    message_id {text},
    kind {text} NOT NULL,
    mime {text} NOT NULL,
    file_name {text} NOT NULL,
    bytes {int} NOT NULL,
    sha256 {text} NOT NULL,
    blob {text} NOT NULL,
    uploaded_by {text},
    used_at {int},
    created_at {int} NOT NULL,
    PRIMARY KEY (scope, id)
) {strict_by_key};
CREATE INDEX ut_media_conversation ON ut_media (scope, conversation_id, created_at);
";
