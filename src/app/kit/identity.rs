//! Who a socket is (contract 0.3).

/// The one identity all five intakes lead to. Shared by reference among a user's sockets and the events they send.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// Who: a user id, a device id, or in development mode the opaque token itself.
    pub sub: String,
    pub name: Option<String>,
    pub email: Option<String>,
    /// `admin`, `operator`, `viewer`, `device`, …; `*` in development mode is every role.
    pub role: String,
    pub permissions: Vec<String>,
    /// Device groups this identity is limited to; empty: by role (admin: all).
    pub groups: Vec<String>,
    pub workspace_id: Option<String>,
    pub tenant_id: Option<String>,
    pub system_id: Option<String>,
    pub device_id: Option<String>,
    /// Seconds since the Unix epoch; the socket ends then.
    pub expires_at_s: Option<u64>,
    pub method: AuthMethod,
}

/// How an identity was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthMethod {
    /// Development mode: anything goes, loopback only.
    #[default]
    Dev,
    Jwt,
    /// No token that this layer can judge: the application decides by itself (a signage device with its own token).
    Application,
}

impl Identity {
    /// Whether this identity has `role`; in development mode it has every role.
    pub fn has_role(&self, role: &str) -> bool {
        self.role == role || self.role == "*"
    }
}
