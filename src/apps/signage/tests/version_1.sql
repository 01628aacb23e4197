-- A database as siod made and left it before steps were counted by owner.
PRAGMA application_id = 0x73696f64;
PRAGMA user_version = 1;
CREATE TABLE sg_devices (
    fleet TEXT NOT NULL, device_id TEXT NOT NULL,
    name TEXT NOT NULL, kind TEXT NOT NULL, device_group TEXT NOT NULL, app_version TEXT NOT NULL,
    token_hash TEXT NOT NULL, pending_hash TEXT NOT NULL,
    authorized INTEGER NOT NULL, retired INTEGER NOT NULL, online INTEGER NOT NULL,
    first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
    ip TEXT NOT NULL, register_info TEXT NOT NULL, rev_reserved INTEGER NOT NULL,
    PRIMARY KEY (fleet, device_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE sg_state (
    fleet TEXT NOT NULL, device_id TEXT NOT NULL, rev INTEGER NOT NULL, json TEXT NOT NULL,
    PRIMARY KEY (fleet, device_id)
) STRICT;
CREATE TABLE sg_state_history (
    fleet TEXT NOT NULL, device_id TEXT NOT NULL, rev INTEGER NOT NULL, at INTEGER NOT NULL, patch TEXT NOT NULL,
    PRIMARY KEY (fleet, device_id, rev)
) STRICT, WITHOUT ROWID;
CREATE TABLE sg_commands (
    seq INTEGER PRIMARY KEY, fleet TEXT NOT NULL, command_id TEXT NOT NULL, device_id TEXT NOT NULL,
    command TEXT NOT NULL, params TEXT NOT NULL, origin TEXT NOT NULL, status TEXT NOT NULL,
    attempts INTEGER NOT NULL, at INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
    UNIQUE (fleet, command_id, device_id)
) STRICT;
CREATE TABLE sg_snapshots (
    id TEXT PRIMARY KEY, fleet TEXT NOT NULL, device_id TEXT NOT NULL, at INTEGER NOT NULL, mime TEXT NOT NULL,
    bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, path TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sg_snapshots_by_device ON sg_snapshots (fleet, device_id, at);
CREATE TABLE sg_alerts (
    seq INTEGER PRIMARY KEY, fleet TEXT NOT NULL, device_id TEXT NOT NULL, kind TEXT NOT NULL,
    severity TEXT NOT NULL, since INTEGER NOT NULL, resolved INTEGER,
    UNIQUE (fleet, device_id, kind, since)
) STRICT;
CREATE INDEX sg_alerts_open ON sg_alerts (fleet) WHERE resolved IS NULL;
CREATE TABLE sg_auth_failures (
    seq INTEGER PRIMARY KEY, fleet TEXT NOT NULL, at INTEGER NOT NULL, ip TEXT NOT NULL, device_id TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX sg_auth_failures_by_fleet ON sg_auth_failures (fleet);
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, domain TEXT NOT NULL, actor TEXT NOT NULL, ip TEXT NOT NULL,
    user_agent TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, outcome TEXT NOT NULL,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_domain ON audit (domain);
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;
INSERT INTO sg_devices VALUES ('f', 'a', 'Lobby ''ñ'' "%_', 'player', 'g1', '1.2', 'aa', 'bb', 1, 1, 1,
    1755684031000, 1755684031001, '2001:db8::1', '{"deviceId":"p1"}', 3000);
INSERT INTO sg_state VALUES ('f', 'a', 7, '{"rev":7}');
INSERT INTO sg_state_history VALUES ('f', 'a', 7, 70, '{"n":7}');
INSERT INTO sg_commands VALUES (1, 'f', 'c', 'a', 'vlc:play', '{}', 'ana', 'sent', 1, 5, 83);
INSERT INTO sg_snapshots VALUES
    ('abcdefghijklmnopqrst', 'f', 'a', 9, 'image/gif', 6, 'cc', 'ab/abcdefghijklmnopqrst.gif');
INSERT INTO sg_alerts VALUES (1, 'f', 'a', 'offline', 'critical', 2, NULL);
INSERT INTO sg_auth_failures VALUES (1, 'f', 1, '192.0.2.1', 'p1', 'unknown_token');
INSERT INTO audit VALUES (1, 1, 'signage', 'ana', '192.0.2.1', 'curl', 'command', 'p1', 'success', '{}');
INSERT INTO probe VALUES (1, 5);
