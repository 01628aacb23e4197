//! An identity here: its system, what it may do, and what everybody is told who may not.

use super::settings::Settings;
use crate::app::identity::{AuthMethod, Claims, Identity};
use crate::app::kit::ack::Fail;
use crate::app::kit::audit::Actor;
use crate::app::kit::roles::Roles;
use crate::app::{AuthFailure, Home, Refusal};
use crate::base::ids::ReqId;

/// What somebody may do, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    Viewer,
    Operator,
    Admin,
}

/// What an identity comes down to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rights {
    pub level: Level,
    /// It may tell rooms something, of whatever system where its token names none.
    pub service: bool,
    /// It came without a token, where that is allowed.
    pub guest: bool,
}

/// The one who asks by HTTP, and where the answer goes.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub actor: Actor,
    pub req: ReqId,
}

const LEVELS: Roles<(Level, bool)> = Roles {
    words: &[
        ("*", (Level::Admin, true)),
        ("admin", (Level::Admin, false)),
        ("superadmin", (Level::Admin, false)),
        ("operator", (Level::Operator, false)),
        ("viewer", (Level::Viewer, false)),
        ("service", (Level::Viewer, true)),
    ],
    without: Some((Level::Operator, false)),
    other: Some((Level::Viewer, false)),
};

impl Rights {
    /// What the words of a token come down to.
    pub(super) fn of(identity: &Identity) -> Rights {
        let (level, service) = LEVELS.of(identity).unwrap_or((Level::Viewer, false));
        Rights { level, service, guest: identity.method == AuthMethod::Application }
    }

    /// Whether they reach so far.
    ///
    /// # Errors
    /// `FORBIDDEN`.
    pub(super) fn reach(self, level: Level) -> Result<(), Fail> {
        (self.level >= level && (level == Level::Viewer || !self.guest)).then_some(()).ok_or_else(|| fail(FORBIDDEN))
    }
}

/// The system that a token names.
pub(super) fn system_of(identity: &Identity) -> Option<&str> {
    identity.system_id().filter(|system| !system.is_empty())
}

/// Where a socket of this identity is decided: without a system, where it came in.
pub(super) fn home_of(identity: &Identity) -> Home {
    system_of(identity).map_or(Home::Local, |system| Home::Tenant(system.to_owned()))
}

/// Whether somebody names the system by joining it.
pub(super) fn names_its_system(identity: &Identity) -> bool {
    identity.method != AuthMethod::Jwt
}

/// The identity of a CONNECT: somebody of a system, a service, somebody in development mode, or a guest of an open door.
///
/// # Errors
/// Why it may not come in.
pub(super) fn admit(
    verified: Result<std::sync::Arc<Identity>, AuthFailure>,
    origin: &str,
    settings: &Settings,
) -> Result<std::sync::Arc<Identity>, Refusal> {
    match verified {
        Ok(identity) if identity.method == AuthMethod::Dev => Ok(identity),
        Ok(identity) if system_of(&identity).is_some_and(is_system) => Ok(identity),
        Ok(identity) if system_of(&identity).is_none() && Rights::of(&identity).service => Ok(identity),
        Ok(_) => Err(refusal(NO_SYSTEM)),
        Err(AuthFailure::Missing) if settings.is_open_to(origin) => Ok(std::sync::Arc::new(guest().into())),
        Err(_) => Err(refusal(UNAUTHENTICATED)),
    }
}

fn guest() -> Claims {
    let (sub, role) = ("guest".to_owned(), "viewer".to_owned());
    Claims { sub, role, method: AuthMethod::Application, ..Claims::default() }
}

fn refusal(code: &str) -> Refusal {
    Refusal { message: "Unauthorized".to_owned(), data: Some(serde_json::json!({ "code": code }).to_string()) }
}

/// Whether a text may be the name of a system.
pub(super) fn is_system(name: &str) -> bool {
    (1..=SYSTEM_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// Why something was refused, with the text that everybody is told of this code.
pub(super) fn fail(code: &'static str) -> Fail {
    let text = TEXTS.iter().find(|(known, _)| *known == code).map_or("Error", |(_, text)| text);
    Fail::new(code, text)
}

/// Codes, each with the text that everybody is told of it.
macro_rules! codes {
    ($($code:ident $text:literal;)*) => {
        $(
            /// One of the codes.
            pub(super) const $code: &str = stringify!($code);
        )*
        const TEXTS: &[(&str, &str)] = &[$(($code, $text)),*];
    };
}

codes! {
    UNAUTHENTICATED "No autorizado";
    NO_SYSTEM "Acceso denegado";
    FORBIDDEN "Acceso denegado";
    FORBIDDEN_SYSTEM "Acceso denegado a este sistema";
    VALIDATION "Datos inválidos";
    PAYLOAD_TOO_LARGE "El mensaje es demasiado grande";
    RATE_LIMITED "Demasiados mensajes";
    NOT_FOUND "No encontrado";
    DEVICE_NOT_FOUND "Dispositivo no encontrado";
    DEVICE_OFFLINE "El dispositivo no está en línea";
    DEVICE_EXISTS "El dispositivo ya existe";
    UPSTREAM_DISCONNECTED "No hay conexión con el dispositivo";
    UPSTREAM_ERROR "El dispositivo o la nube ha rechazado la operación";
    TIMEOUT "El dispositivo no ha respondido a tiempo";
    TIMER_UNSUPPORTED "El dispositivo no admite el apagado automático";
    AUTH_FAILED "La contraseña del dispositivo no es válida";
    NO_ENCRYPTION_KEY "Falta la clave de cifrado";
    STORE_UNAVAILABLE "El almacenamiento no está disponible";
    UNKNOWN_EVENT "Evento desconocido";
}

const SYSTEM_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn who(role: &str, system: Option<&str>, method: AuthMethod) -> Identity {
        let system_id = system.map(str::to_owned);
        Claims { role: role.to_owned(), system_id, method, ..Claims::default() }.into()
    }

    #[test]
    fn words_of_a_token_are_levels() {
        for (role, level, service) in [
            ("", Level::Operator, false),
            ("viewer", Level::Viewer, false),
            ("operator", Level::Operator, false),
            ("admin", Level::Admin, false),
            ("service", Level::Viewer, true),
            ("gardener", Level::Viewer, false),
            ("*", Level::Admin, true),
        ] {
            let rights = Rights::of(&who(role, None, AuthMethod::Jwt));
            assert_eq!((rights.level, rights.service), (level, service), "{role}");
        }
    }

    #[test]
    fn everybody_who_comes_in_has_a_system_or_needs_none() {
        let settings = Settings::default();
        let admitted = |identity: Identity| admit(Ok(std::sync::Arc::new(identity)), "", &settings);
        assert!(admitted(who("viewer", Some("s1"), AuthMethod::Jwt)).is_ok());
        assert!(admitted(who("service", None, AuthMethod::Jwt)).is_ok());
        assert!(admitted(who("*", None, AuthMethod::Dev)).is_ok());
        let refused = |identity| admitted(identity).unwrap_err();
        for system in [None, Some(""), Some("a\nb")] {
            let refused = refused(who("admin", system, AuthMethod::Jwt));
            assert_eq!(refused.data.as_deref(), Some(r#"{"code":"NO_SYSTEM"}"#), "{system:?}");
        }
        for why in [AuthFailure::Missing, AuthFailure::Invalid, AuthFailure::Expired] {
            let refused = admit(Err(why), "", &settings).unwrap_err();
            assert_eq!(refused.message, "Unauthorized");
            assert_eq!(refused.data.as_deref(), Some(r#"{"code":"UNAUTHENTICATED"}"#), "{why:?}");
        }
        let open = Settings { join: super::super::settings::Join::Open, open_origins: vec!["*".into()], ..settings };
        assert!(Rights::of(&admit(Err(AuthFailure::Missing), "", &open).unwrap()).guest);
        assert!(admit(Err(AuthFailure::Invalid), "", &open).is_err(), "a bad token is refused whatever the door");
    }
}
