//! An identity as it is kept for as long as its sockets live: all its texts in one allocation. As fields of their own
//! ([`Claims`]) they would be a dozen, and five times as large. In: claims. Out: what applications ask of them.

use std::fmt;

use super::AuthMethod;
use crate::base::limit;

/// What is known of somebody, field by field: what an [`Identity`] is made of.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claims {
    /// Who: a user id, a device id, or in development mode the opaque token itself.
    pub sub: String,
    pub name: Option<String>,
    pub email: Option<String>,
    /// `admin`, `operator`, `viewer`, `device`, …; `*` in development mode is every role; empty: none.
    pub role: String,
    pub permissions: Vec<String>,
    /// Device groups this identity is limited to; empty: by role (admin: all).
    pub groups: Vec<String>,
    pub workspace_id: Option<String>,
    pub tenant_id: Option<String>,
    pub system_id: Option<String>,
    pub device_id: Option<String>,
    /// What the token is for, where it says so (`type`): a `refresh` token is none to come in with.
    pub kind: Option<String>,
    /// Seconds since the Unix epoch; the socket ends then.
    pub expires_at_s: Option<u64>,
    pub method: AuthMethod,
}

/// The one identity all intakes lead to. Shared by reference among a socket, its home and the events it sends.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// For each text that is there: which one it is, its length (two bytes, little-endian), its bytes.
    texts: Box<[u8]>,
    /// Seconds since the Unix epoch; the socket ends then.
    pub expires_at_s: Option<u64>,
    pub method: AuthMethod,
}

/// Which text an entry holds. Permissions and groups have one entry each.
#[derive(Clone, Copy)]
enum Field {
    Sub,
    Role,
    Tenant,
    Device,
    Group,
    Name,
    Email,
    Permission,
    Workspace,
    System,
    Kind,
}

const HEAD_BYTES: usize = 3;
/// Every text comes from a token, or is shorter.
const _: () = assert!(limit::TOKEN_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(limit::NAME_BYTES_MAX <= u16::MAX as usize);

impl Identity {
    pub fn sub(&self) -> &str {
        self.text(Field::Sub).unwrap_or_default()
    }

    pub fn name(&self) -> Option<&str> {
        self.text(Field::Name)
    }

    pub fn email(&self) -> Option<&str> {
        self.text(Field::Email)
    }

    pub fn role(&self) -> &str {
        self.text(Field::Role).unwrap_or_default()
    }

    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.texts(Field::Group)
    }

    pub fn tenant_id(&self) -> Option<&str> {
        self.text(Field::Tenant)
    }

    pub fn workspace_id(&self) -> Option<&str> {
        self.text(Field::Workspace)
    }

    pub fn system_id(&self) -> Option<&str> {
        self.text(Field::System)
    }

    pub fn device_id(&self) -> Option<&str> {
        self.text(Field::Device)
    }

    /// What the token is for, where it says so.
    pub fn kind(&self) -> Option<&str> {
        self.text(Field::Kind)
    }

    /// Whether this identity has `role`; in development mode it has every role.
    pub fn has_role(&self, role: &str) -> bool {
        self.role() == role || self.role() == "*"
    }

    /// Whether its token names this permission; in development mode it has every one.
    pub fn has_permission(&self, permission: &str) -> bool {
        self.texts(Field::Permission).any(|named| named == permission) || self.role() == "*"
    }

    /// Everything that is known, to make another identity of it.
    pub fn claims(&self) -> Claims {
        let text = |field| self.text(field).map(str::to_owned);
        let texts = |field| self.texts(field).map(str::to_owned).collect();
        Claims {
            sub: self.sub().to_owned(),
            name: text(Field::Name),
            email: text(Field::Email),
            role: self.role().to_owned(),
            permissions: texts(Field::Permission),
            groups: texts(Field::Group),
            workspace_id: text(Field::Workspace),
            tenant_id: text(Field::Tenant),
            system_id: text(Field::System),
            device_id: text(Field::Device),
            kind: text(Field::Kind),
            expires_at_s: self.expires_at_s,
            method: self.method,
        }
    }

    fn text(&self, field: Field) -> Option<&str> {
        self.texts(field).next()
    }

    fn texts(&self, field: Field) -> impl Iterator<Item = &str> {
        let mut rest = &*self.texts;
        let entries = std::iter::from_fn(move || {
            let ([kind, low, high], behind) = rest.split_first_chunk::<HEAD_BYTES>()?;
            let (text, behind) = behind.split_at(usize::from(u16::from_le_bytes([*low, *high])));
            rest = behind;
            Some((*kind, text))
        });
        let ours = entries.filter(move |(kind, _)| *kind == field as u8);
        ours.map(|(_, text)| str::from_utf8(text).expect("a str went in"))
    }
}

impl From<Claims> for Identity {
    fn from(claims: Claims) -> Identity {
        let list = |field, texts: Vec<String>| texts.into_iter().map(move |text| (field, Some(text)));
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        // The texts that are asked for with every event come first.
        let one = [
            (Field::Sub, given(claims.sub)),
            (Field::Role, given(claims.role)),
            (Field::Tenant, claims.tenant_id),
            (Field::Device, claims.device_id),
            (Field::Name, claims.name),
            (Field::Email, claims.email),
            (Field::Workspace, claims.workspace_id),
            (Field::System, claims.system_id),
            (Field::Kind, claims.kind),
        ];
        let many = list(Field::Group, claims.groups).chain(list(Field::Permission, claims.permissions));
        let mut texts = Vec::new();
        for (field, text) in one.into_iter().chain(many) {
            let Some(text) = text else { continue };
            let length = u16::try_from(text.len()).expect("no longer than a token");
            texts.push(field as u8);
            texts.extend_from_slice(&length.to_le_bytes());
            texts.extend_from_slice(text.as_bytes());
        }
        Identity { texts: texts.into_boxed_slice(), expires_at_s: claims.expires_at_s, method: claims.method }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.claims().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(claims: Claims) {
        assert_eq!(Identity::from(claims.clone()).claims(), claims);
    }

    #[test]
    fn what_goes_in_comes_out() {
        let some = |text: &str| Some(text.to_owned());
        check(Claims::default());
        check(Claims { tenant_id: some(""), groups: vec!["".into(), "b".into(), "".into()], ..Claims::default() });
        check(Claims {
            sub: "s".repeat(limit::TOKEN_BYTES_MAX),
            name: some("Zoë \u{0}"),
            email: some("e"),
            role: "operator".into(),
            permissions: vec!["p".into(), "q".into()],
            groups: vec!["g".into()],
            workspace_id: some("w"),
            tenant_id: some("t"),
            system_id: some("y"),
            device_id: some("d"),
            kind: some("refresh"),
            expires_at_s: Some(7),
            method: AuthMethod::Jwt,
        });
    }

    #[test]
    fn permissions_are_those_of_the_token_and_in_development_mode_all() {
        let permissions = vec!["create-dispatch".to_owned()];
        let named = Identity::from(Claims { role: "driver".into(), permissions, ..Claims::default() });
        let dev = Identity::from(Claims { role: "*".into(), ..Claims::default() });
        for (permission, has) in [("create-dispatch", true), ("create", false), ("", false), ("driver", false)] {
            assert_eq!((named.has_permission(permission), dev.has_permission(permission)), (has, true), "{permission}");
        }
    }

    /// `docs/PERFORMANCE.md` has what an idle client costs; this is the part of one who came with a token.
    #[test]
    fn identities_stay_small() {
        let groups = ["lobby", "canteen", "garage"].map(str::to_owned).to_vec();
        let identity: Identity =
            Claims { sub: "user-1".into(), role: "operator".into(), groups, ..Claims::default() }.into();
        assert!(size_of::<Identity>() <= 40, "{}", size_of::<Identity>());
        assert_eq!(identity.texts.len(), 6 + 8 + 5 + 7 + 6 + 5 * HEAD_BYTES);
    }
}
