//! What an account is opened with: one JSON text, sealed as a whole for its row.

use serde::{Deserialize, Serialize};

use crate::apps::iot::wire::oauth::Grant;
use crate::base::secret::Secret;
use crate::base::time::WallMillis;

/// The secrets of an account; a part that is not there is empty.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Secrets {
    /// What a login gave: good for tokens.
    pub code: Secret,
    pub access: Secret,
    pub refresh: Secret,
    /// When the token ends.
    pub ends_at: WallMillis,
    /// Of HTTP of the second version.
    pub auth_key: Secret,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Written<'a> {
    code: std::borrow::Cow<'a, str>,
    access: std::borrow::Cow<'a, str>,
    refresh: std::borrow::Cow<'a, str>,
    ends_at: u64,
    auth_key: std::borrow::Cow<'a, str>,
}

impl Secrets {
    /// Reads what [`Secrets::write`] has written.
    pub(crate) fn read(text: &Secret) -> Option<Secrets> {
        let written: Written<'_> = serde_json::from_str(text.expose()).ok()?;
        let [code, access, refresh, auth_key] = [written.code, written.access, written.refresh, written.auth_key]
            .map(|text| Secret::new(text.into_owned()));
        Some(Secrets { code, access, refresh, ends_at: WallMillis(written.ends_at), auth_key })
    }

    /// The text that is sealed.
    pub(crate) fn write(&self) -> Secret {
        let [code, access, refresh, auth_key] =
            [&self.code, &self.access, &self.refresh, &self.auth_key].map(|secret| secret.expose().into());
        let written = Written { code, access, refresh, ends_at: self.ends_at.0, auth_key };
        Secret::new(serde_json::to_string(&written).expect("texts and a number serialise"))
    }

    /// A newer token takes the place of the last one.
    pub(crate) fn take(&mut self, grant: &Grant, now: WallMillis) {
        self.access = grant.access_token.clone();
        if let Some(refresh) = &grant.refresh_token {
            self.refresh = refresh.clone();
        }
        self.ends_at = WallMillis(now.0.saturating_add(grant.life_s.saturating_mul(1_000)));
    }

    /// Whether a token opens a socket: there is one, and it has not ended.
    pub(crate) fn is_alive(&self, now: WallMillis) -> bool {
        !self.access.is_empty() && self.ends_at > now
    }

    /// Whether a token can be asked for.
    pub(crate) fn can_renew(&self) -> bool {
        !self.refresh.is_empty() || !self.code.is_empty()
    }

    /// Whether there is an account behind it that has a socket; a key alone opens none.
    pub(crate) fn has_socket(&self) -> bool {
        !self.access.is_empty() || self.can_renew()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_never_shown() {
        let secrets = Secrets {
            code: Secret::new("c0de"),
            access: Secret::new("acc3ss"),
            ends_at: WallMillis(7),
            auth_key: Secret::new("k3y"),
            ..Secrets::default()
        };
        let written = secrets.write();
        assert_eq!(Secrets::read(&written), Some(secrets.clone()));
        assert_eq!(Secrets::read(&Secret::new("{}")), Some(Secrets::default()));
        assert_eq!(Secrets::read(&Secret::new("x")), None);
        let shown = format!("{secrets:?} {written:?}");
        assert!(!["c0de", "acc3ss", "k3y"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    #[test]
    fn a_token_lives_until_its_end() {
        let mut secrets = Secrets::default();
        assert!(!secrets.is_alive(WallMillis(0)) && !secrets.can_renew() && !secrets.has_socket());
        let access_token = Secret::new("a");
        let grant = Grant { access_token, refresh_token: None, life_s: 10, api_host: None };
        secrets.take(&grant, WallMillis(1_000));
        assert!(secrets.is_alive(WallMillis(10_999)) && !secrets.is_alive(WallMillis(11_000)));
        assert!(secrets.has_socket() && !secrets.can_renew());
        secrets.take(&Grant { refresh_token: Some(Secret::new("r")), ..grant.clone() }, WallMillis(1_000));
        secrets.take(&grant, WallMillis(1_000));
        assert_eq!(secrets.refresh, Secret::new("r"), "one that was given once is kept");
    }
}
