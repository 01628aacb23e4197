//! The names of the applications, as configuration, namespaces and metrics spell them.

/// One of the applications a namespace can belong to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AppName {
    Lab,
    Orchestrator,
    Utalk,
    Dispatch,
    Iot,
    Signage,
}

impl AppName {
    /// All of them, in the order the configuration lists them.
    pub const ALL: [AppName; 6] =
        [AppName::Lab, AppName::Orchestrator, AppName::Utalk, AppName::Dispatch, AppName::Iot, AppName::Signage];

    /// Those that this version has.
    pub const SERVED: [AppName; 2] = [AppName::Lab, AppName::Signage];

    /// `lab`, `signage`, …
    pub fn as_str(self) -> &'static str {
        match self {
            AppName::Lab => "lab",
            AppName::Orchestrator => "orchestrator",
            AppName::Utalk => "utalk",
            AppName::Dispatch => "dispatch",
            AppName::Iot => "iot",
            AppName::Signage => "signage",
        }
    }

    /// The application of this name; `None` for any other text.
    pub fn named(name: &str) -> Option<AppName> {
        AppName::ALL.into_iter().find(|app| app.as_str() == name)
    }
}
