//! Every reason a connection ends, in one table: what the wire says, what applications and logs read, what metrics count.

/// What operators see in the log for a reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $ws:expr, $text:literal, $level:ident, $label:literal;)*) => {
        /// Why an engine connection, or one socket of it, ended.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum CloseReason { $($(#[$doc])* $name,)* }

        impl CloseReason {
            /// All reasons, in declaration order; `reason as usize` indexes it.
            pub const ALL: &'static [CloseReason] = &[$(CloseReason::$name,)*];

            /// Code of the WebSocket close frame we send; `None` is a close frame without one (the peer reads 1005).
            pub fn ws_code(self) -> Option<u16> { match self { $(CloseReason::$name => $ws,)* } }

            /// The reference's disconnect reason (PROTOCOL 10), as applications and their logs know it.
            pub fn text(self) -> &'static str { match self { $(CloseReason::$name => $text,)* } }

            /// How loudly the log says it.
            pub fn level(self) -> LogLevel { match self { $(CloseReason::$name => LogLevel::$level,)* } }

            /// Value of the `reason` label of `siod_connections_closed_total`.
            pub fn label(self) -> &'static str { match self { $(CloseReason::$name => $label,)* } }
        }
    };
}

// name: WebSocket close code, disconnect reason, log level, metric label
reasons! {
    /// The peer closed its transport: WebSocket close frame, end of TCP stream, polling `1`.
    TransportClose: None, "transport close", Debug, "transport_close";
    /// The transport broke: reset, aborted poll, overlapping polls, a foreign content type, a ping from a client.
    TransportError: None, "transport error", Debug, "transport_error";
    /// No pong in time.
    PingTimeout: None, "ping timeout", Debug, "ping_timeout";
    /// Not an Engine.IO packet.
    EngineParseError: None, "parse error", Info, "engine_parse_error";
    /// Not a Socket.IO packet, or one that the client's state does not allow (PROTOCOL 7).
    ParseError: None, "forced close", Info, "parse_error";
    /// RFC 6455 violated.
    WsProtocolError: Some(1002), "transport error", Info, "ws_protocol_error";
    WsInvalidUtf8: Some(1007), "transport error", Info, "ws_invalid_utf8";
    WsPolicy: Some(1008), "transport error", Info, "ws_policy";
    WsTooBig: Some(1009), "transport error", Info, "ws_too_big";
    /// No namespace joined within the connect timeout.
    ConnectTimeout: None, "forced server close", Info, "connect_timeout";
    /// The client left this namespace (`41`).
    ClientNamespaceDisconnect: None, "client namespace disconnect", Debug, "client_namespace_disconnect";
    /// The application ended this socket (`41` towards the client).
    ServerNamespaceDisconnect: None, "server namespace disconnect", Debug, "server_namespace_disconnect";
    /// The application ended the whole connection.
    ForcedServerClose: None, "forced server close", Debug, "forced_server_close";
    /// The identity's token ran out while it was connected.
    TokenExpired: None, "server namespace disconnect", Info, "token_expired";
    /// The peer reads too slowly: its outbox is full, or made no progress.
    SlowConsumer: Some(1008), "transport error", Warn, "slow_consumer";
    /// So much waits at the home of its events that one of them was lost.
    RateLimited: Some(1008), "forced server close", Warn, "rate_limited";
    /// The daemon drains.
    ServerShuttingDown: Some(1001), "server shutting down", Debug, "server_shutting_down";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_are_distinct_and_fit_for_prometheus() {
        let labels: HashSet<_> = CloseReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), CloseReason::ALL.len());
        assert!(labels.iter().all(|label| label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))));
    }

    #[test]
    fn a_reason_indexes_the_list_of_all() {
        for reason in CloseReason::ALL {
            assert_eq!(CloseReason::ALL[*reason as usize], *reason);
        }
    }
}
