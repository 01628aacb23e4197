//! Routes by which providers tell us things: whether a call is believed, what it says, and where that is decided. Signatures are judged
//! where a call arrives, so that nobody else can make a home load anything.

use super::numbers;
use super::settings::Settings;
use super::webhook::signature::{self, Fault, FromTwilio};
use super::webhook::{Notice, meta, twilio};
use super::who::{home_of, scope_key};
use crate::app::Home;
use crate::app::route::{Bare, Body, Call, Method, Param, Place, Refused, Route};

/// A webhook of Twilio: messages of customers, and receipts of ours.
pub(super) const fn from_twilio(name: &'static str, path: &'static str) -> Route {
    let headers = &[HOST, TWILIO_SIGNATURE, TWILIO_SETTINGS];
    Route {
        bare: Bare::AtRoot,
        body: Body::Raw { bytes_max: BODY_BYTES_MAX, headers },
        ..Route::new(
            name,
            Method::Post,
            path,
            "Messages of customers and receipts of ours, signed by Twilio.",
            of_twilio,
        )
    }
}

/// A webhook of WhatsApp Cloud or Messenger.
pub(super) const fn from_meta(
    name: &'static str,
    path: &'static str,
    doc: &'static str,
    home: fn(&Call) -> Result<Place, Refused>,
) -> Route {
    let body = Body::Raw { bytes_max: BODY_BYTES_MAX, headers: &[HUB_SIGNATURE] };
    Route { bare: Bare::AtRoot, body, ..Route::new(name, Method::Post, path, doc, home) }
}

/// The question whether we are there, which they ask once.
pub(super) const fn verifies(name: &'static str, path: &'static str) -> Route {
    let doc = "Whether we are there, as Meta asks when a webhook is set up.";
    Route { bare: Bare::AtRoot, params: VERIFY, ..Route::new(name, Method::Get, path, doc, of_verification) }
}

/// What is answered to a call that only asks whether we are there.
pub(super) fn challenge(call: &Call) -> Option<String> {
    (call.route.method == Method::Get).then(|| call.query_value(VERIFY[2].name).unwrap_or_default())
}

/// What a call of one of these routes tells a scope, in its order.
pub(super) fn told(call: &Call, settings: &Settings, scope: &str) -> Vec<Notice> {
    let is_ours = |ours: &str| scope_of(ours, settings) == scope;
    let of_meta =
        |told: Vec<meta::Told>| told.into_iter().filter(|told| is_ours(&told.ours)).map(|told| told.notice).collect();
    match call.route.name {
        "webhook_whatsapp" => of_meta(meta::whatsapp(&call.body)),
        "webhook_messenger" => of_meta(meta::messenger(&call.body)),
        // It is one of this scope, or it would not have come here.
        _ => twilio::read(&call.query, &call.body).ok().and_then(|told| told.notice).into_iter().collect(),
    }
}

/// Why a webhook is not taken, where it is one that is not.
pub(super) fn refused(call: &Call) -> Option<Refused> {
    let judge = match call.route.name {
        "webhook_whatsapp" => judge_whatsapp,
        "webhook_messenger" => judge_messenger,
        name if name.starts_with("webhook_twilio") => judge_twilio,
        _ => return None,
    };
    judge(call).err()
}

/// One that is not taken reaches no scope, but it is counted: where it has come.
fn counted(judged: Result<Place, Refused>) -> Result<Place, Refused> {
    Ok(judged.unwrap_or(Place::At(Home::Local)))
}

fn of_twilio(call: &Call) -> Result<Place, Refused> {
    counted(judge_twilio(call))
}

fn judge_twilio(call: &Call) -> Result<Place, Refused> {
    let settings = settings(call)?;
    let host = call.header(HOST).map(String::from_utf8_lossy).unwrap_or_default();
    let base = if settings.public_url.is_empty() { format!("http://{host}") } else { settings.public_url.clone() };
    let request = FromTwilio {
        base: &base,
        target: &call.target,
        body: &call.body,
        signature: call.header(TWILIO_SIGNATURE),
        settings: call.header(TWILIO_SETTINGS),
    };
    let webhooks = &settings.webhooks;
    request.judge(&webhooks.twilio_auth_tokens, &webhooks.twilio_signing_keys).map_err(refusal)?;
    let told = twilio::read(&call.query, &call.body).map_err(|why| Refused::new(400, "VALIDATION_ERROR", why))?;
    let is_receipt = !matches!(told.notice, Some(Notice::Message(_)));
    let given = call.query_value("s").filter(|scope| is_receipt && scope.contains('/'));
    Ok(Place::At(home_of(given.unwrap_or_else(|| scope_of(&told.ours, settings)))))
}

pub(super) fn of_whatsapp(call: &Call) -> Result<Place, Refused> {
    counted(judge_whatsapp(call))
}

pub(super) fn of_messenger(call: &Call) -> Result<Place, Refused> {
    counted(judge_messenger(call))
}

fn judge_whatsapp(call: &Call) -> Result<Place, Refused> {
    of_meta(call, meta::whatsapp)
}

fn judge_messenger(call: &Call) -> Result<Place, Refused> {
    of_meta(call, meta::messenger)
}

/// The homes of all that a body tells; a body that tells nothing is taken by the default scope.
fn of_meta(call: &Call, read: fn(&[u8]) -> Vec<meta::Told>) -> Result<Place, Refused> {
    let settings = settings(call)?;
    signature::judge_hub(&settings.webhooks.hub_app_secrets, call.header(HUB_SIGNATURE), &call.body)
        .map_err(refusal)?;
    let mut scopes: Vec<String> = read(&call.body).iter().map(|told| scope_of(&told.ours, settings)).collect();
    scopes.sort_unstable();
    scopes.dedup();
    Ok(match scopes.len() {
        0 => Place::At(home_of(default_scope(settings))),
        1 => Place::At(home_of(scopes.remove(0))),
        _ => Place::Each(scopes.into_iter().map(home_of).collect()),
    })
}

fn of_verification(call: &Call) -> Result<Place, Refused> {
    let settings = settings(call)?;
    let said = |name: &str| call.query_value(name).unwrap_or_default();
    let is_known = settings.webhooks.hub_verify_token.matches(&said(VERIFY[1].name));
    if said(VERIFY[0].name) != "subscribe" || !is_known {
        return Err(Refused::new(403, "FORBIDDEN", "El token de verificación no es válido"));
    }
    Ok(Place::At(home_of(default_scope(settings))))
}

/// The scope that a number of ours belongs to.
fn scope_of(ours: &str, settings: &Settings) -> String {
    let Some(row) = settings.numbers.iter().find(|row| numbers::same(&row.number, ours)) else {
        return default_scope(settings);
    };
    let or = |name: &str, default: &str| if name.is_empty() { default.to_owned() } else { name.to_owned() };
    scope_key(&or(&row.tenant, &settings.default_tenant), &or(&row.workspace, &settings.default_workspace))
}

fn default_scope(settings: &Settings) -> String {
    scope_key(&settings.default_tenant, &settings.default_workspace)
}

fn settings(call: &Call) -> Result<&Settings, Refused> {
    call.settings().ok_or(Refused::new(500, "INTERNAL_ERROR", "Error interno"))
}

fn refusal(fault: Fault) -> Refused {
    match fault {
        Fault::Missing => Refused::new(400, "SIGNATURE_MISSING", "Falta la firma del webhook"),
        Fault::Wrong => Refused::new(403, "SIGNATURE_INVALID", "La firma del webhook no es válida"),
        Fault::NotConfigured => Refused::new(500, "WEBHOOK_NOT_CONFIGURED", "El webhook no está configurado"),
    }
}

/// What Meta asks with, in this order: the mode, our token, and what it wants to hear.
const VERIFY: &[Param] = &[
    Param { name: "hub.mode", doc: "subscribe", default: None },
    Param { name: "hub.verify_token", doc: "As configured", default: None },
    Param { name: "hub.challenge", doc: "Is the answer", default: None },
];
const HOST: &str = "host";
const TWILIO_SIGNATURE: &str = "x-twilio-signature";
const TWILIO_SETTINGS: &str = "x-twilio-webhooks-signature-settings";
const HUB_SIGNATURE: &str = "x-hub-signature-256";
/// Of a webhook's body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
