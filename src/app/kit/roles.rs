//! Roles, and the part of a tenant that somebody may see. An application has its own enum of roles, in ascending order, and says
//! once what words of a token mean ([`Roles`]); names of permissions are asked of the identity (`Identity::has_permission`).

use crate::app::identity::Identity;

/// What the role a token names comes down to. Words are in small letters: claims are read so.
pub struct Roles<R: 'static> {
    /// Each word with its role, the highest first: in development mode somebody has that.
    pub words: &'static [(&'static str, R)],
    /// The role of somebody whose token names none.
    pub without: Option<R>,
    /// The role of somebody whose token names another word.
    pub other: Option<R>,
}

impl<R: Copy> Roles<R> {
    /// The role of an identity; `None`: it has none here.
    pub fn of(&self, identity: &Identity) -> Option<R> {
        self.of_word(identity.role())
    }

    /// As [`Roles::of`], of a word that a table of the configuration may have put in place of the token's.
    pub fn of_word(&self, word: &str) -> Option<R> {
        match word {
            "*" => self.words.first().map(|(_, role)| *role),
            "" => self.without,
            word => self.words.iter().find(|(known, _)| *known == word).map(|(_, role)| *role).or(self.other),
        }
    }
}

/// What somebody may see and act on of what a tenant has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope<'a> {
    All,
    /// Sorted, without repeats; nobody's if empty.
    Groups(Vec<&'a str>),
}

impl<'a> Scope<'a> {
    /// The groups an identity names, of which the first `groups_max` count.
    pub fn groups(identity: &'a Identity, groups_max: usize) -> Scope<'a> {
        let mut groups: Vec<&str> = identity.groups().take(groups_max).collect();
        groups.sort_unstable();
        groups.dedup();
        Scope::Groups(groups)
    }

    /// Whether what belongs to this group is in it; what belongs to none is for those alone who may see all.
    pub fn covers(&self, group: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Groups(groups) => !group.is_empty() && groups.contains(&group),
        }
    }
}

/// The tenant of an identity, `default` where its token names none.
pub fn tenant<'a>(identity: &'a Identity, default: &'a str) -> &'a str {
    named(identity.tenant_id(), default)
}

/// The workspace of an identity, `default` where its token names none.
pub fn workspace<'a>(identity: &'a Identity, default: &'a str) -> &'a str {
    named(identity.workspace_id(), default)
}

fn named<'a>(claim: Option<&'a str>, default: &'a str) -> &'a str {
    claim.filter(|name| !name.is_empty()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::identity::Claims;

    fn who(role: &str) -> Identity {
        Claims { role: role.to_owned(), ..Claims::default() }.into()
    }

    #[test]
    fn words_of_a_token_come_down_to_roles() {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        enum Role {
            Viewer,
            Agent,
            Admin,
        }
        use Role::{Admin, Agent, Viewer};
        let words = &[("admin", Admin), ("superadmin", Admin), ("agent", Agent), ("qa", Agent), ("viewer", Viewer)];
        let closed = Roles { words, without: None, other: None };
        let open = Roles { words, without: Some(Agent), other: Some(Viewer) };
        for (word, by_closed, by_open) in [
            ("admin", Some(Admin), Some(Admin)),
            ("superadmin", Some(Admin), Some(Admin)),
            ("qa", Some(Agent), Some(Agent)),
            ("viewer", Some(Viewer), Some(Viewer)),
            ("*", Some(Admin), Some(Admin)),
            ("", None, Some(Agent)),
            ("janitor", None, Some(Viewer)),
        ] {
            assert_eq!((closed.of(&who(word)), open.of(&who(word))), (by_closed, by_open), "{word:?}");
        }
        assert!(Viewer < Agent && Agent < Admin, "rows of a table ask for at least a role");
    }

    #[test]
    fn a_scope_covers_the_groups_that_were_named() {
        let groups = ["b", "a", "b", "", "c"].map(str::to_owned).to_vec();
        let identity = Identity::from(Claims { groups, ..Claims::default() });
        let scope = Scope::groups(&identity, 4);
        assert_eq!(scope, Scope::Groups(vec!["", "a", "b"]));
        for (group, covered) in [("a", true), ("b", true), ("c", false), ("", false), ("d", false)] {
            assert_eq!((scope.covers(group), Scope::All.covers(group)), (covered, true), "{group:?}");
        }
    }

    #[test]
    fn who_names_no_tenant_is_in_the_default_one() {
        let some = |text: &str| Some(text.to_owned());
        let named = Claims { tenant_id: some("t"), workspace_id: some("w"), ..Claims::default() }.into();
        let empty = Claims { tenant_id: some(""), workspace_id: some(""), ..Claims::default() }.into();
        for (identity, expected) in [(named, ("t", "w")), (empty, ("d", "e")), (who("admin"), ("d", "e"))] {
            assert_eq!((tenant(&identity, "d"), workspace(&identity, "e")), expected);
        }
    }
}
