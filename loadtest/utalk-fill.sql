-- Fills the tables of utalk: `fill` says how many scopes (default_tenant/w0, w1, …) and how many messages each, in one conversation of the web, with
-- ids as the daemon makes them and random messageIds (UUID, version 4). The daemon must not run.
PRAGMA synchronous = OFF;
PRAGMA cache_size = -400000;
BEGIN;

CREATE TEMP TABLE scopes AS
WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n, fill WHERE n + 1 < scopes)
SELECT 'default_tenant/w' || n AS scope FROM n ORDER BY scope;

-- A message a millisecond, the last one a minute ago. The number of its change is its time and sixteen bits more, which its id says, too.
CREATE TEMP TABLE seqs AS
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n, fill WHERE n < messages)
SELECT n AS seq, CAST(strftime('%s', 'now') AS INTEGER) * 1000 - 60000 - messages + n AS at FROM n, fill;

INSERT INTO ut_conversations (scope, id, channel, customer, ours, status, bot_enabled, priority, tags, last_seq, last_inbound, read_seq, read_inbound,
    rev, change, ahead, created_at, updated_at)
SELECT scope, 'conv_load', 'web', '', '', 'open', 1, 'medium', '[]', messages, 0, 0, 0, messages, at << 16, 0, at - messages, at
FROM scopes, fill, seqs WHERE seq = messages;

INSERT INTO ut_messages (scope, born, id, message_id, conversation_id, seq, inbound, kind, text, metadata, sender, author, direction, status, attempt,
    sent_at, created_at, change)
SELECT scope, at << 16, printf('msg_%08x-%04x-7000-8000-%012x', at >> 16, at & 65535, seq),
    lower(printf('%s-%s-4%s-8%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2), substr(hex(randomblob(2)), 2), hex(randomblob(6)))),
    'conv_load', seq, 0, 'text', 'hola', '{}', 'u', 'u', 'outbound', 'sent', 0, at, at, at << 16
FROM scopes, seqs ORDER BY scope, seq;

COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
