// Configurations of the daemon, as TOML text. `daemon` brings the ports and the directory.

export const SECRET = "a secret of at least thirty-two bytes";

/** `lab` at the root, development identity, short heartbeats; `ping` is interval and timeout. */
export const lab = ({ shards = 1, listener = "", rest = "", ping = [300, 200] } = {}) => (daemon) => `
[server]
shards = ${shards}
data_dir = "${daemon.dir}/data"
drain_timeout_s = 1
${rest}
[[listener]]
bind = "127.0.0.1:${daemon.port}"
root = "lab"
ping_interval_ms = ${ping[0]}
ping_timeout_ms = ${ping[1]}
connect_timeout_ms = 1000
${listener}
[admin]
bind = "127.0.0.1:${daemon.adminPort}"
[store]
url = "memory:"
[apps.lab]
enabled = true
`;

/** One application at the root, tokens signed by [`SECRET`], SQLite on disk. */
const application = (name, { shards = 2, settings = "", listener = "", ping = [500, 400] } = {}) => (daemon) => `
[server]
shards = ${shards}
data_dir = "${daemon.dir}/data"
drain_timeout_s = 1
[[listener]]
bind = "127.0.0.1:${daemon.port}"
root = "${name}"
ping_interval_ms = ${ping[0]}
ping_timeout_ms = ${ping[1]}
${listener}
[admin]
bind = "127.0.0.1:${daemon.adminPort}"
[auth]
mode = "jwt"
jwt_secret = "${SECRET}"
[store]
url = "sqlite:${daemon.dir}/data/siod.db"
[apps.${name}]
enabled = true
${settings}
`;

/** Digital signage. */
export const signage = (options) => application("signage", options);

/** Customer chat. */
export const utalk = (options) => application("utalk", options);

/** Smart plugs. */
export const iot = (options) => application("iot", options);

/** `lab` at the root behind a proxy on this machine, tokens signed by [`SECRET`], talkative. */
export const proxied = ({ shards = 2, listener = "", limits = "" } = {}) => (daemon) => `
[server]
shards = ${shards}
data_dir = "${daemon.dir}/data"
drain_timeout_s = 1
[[listener]]
bind = "127.0.0.1:${daemon.port}"
root = "lab"
ping_interval_ms = 300
ping_timeout_ms = 2500
trusted_proxies = ["127.0.0.1"]
${listener}
[admin]
bind = "127.0.0.1:${daemon.adminPort}"
[auth]
mode = "jwt"
jwt_secret = "${SECRET}"
[store]
url = "memory:"
[limits]
${limits}
[log]
level = "debug"
format = "json"
[apps.lab]
enabled = true
`;
