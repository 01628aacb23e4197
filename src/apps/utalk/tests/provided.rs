//! A world with a provider that a test scripts, and webhooks as Twilio and Meta sign them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};

use super::world::{CUSTOMER, Count, Id, World};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::sql::Statement;
use crate::apps::utalk::ROW;
use crate::apps::utalk::message::{Direction, Message};
use crate::apps::utalk::settings::{Number, Provider, ProviderKind, Settings, Webhooks, Window};
use crate::base::percent;
use crate::base::secret::Secret;
use crate::testing::outside::answer;

pub(super) const OURS: &str = "+0987654321";
pub(super) const THEIRS: &str = "+1234567890";
pub(super) const TOKEN: &str = "a token of Twilio";

pub(super) fn settings() -> Settings {
    let number = |number: &str, channel: &str| Number {
        number: number.to_owned(),
        workspace: "w1".to_owned(),
        tenant: "t1".to_owned(),
        channel: channel.to_owned(),
    };
    let token = Secret::new(TOKEN);
    Settings {
        public_url: "https://chat.example".to_owned(),
        numbers: vec![number(OURS, "whatsapp"), number("100200", "facebook")],
        provider: Provider {
            kind: ProviderKind::Twilio,
            base_url: "http://provider".to_owned(),
            account_sid: "AC1".to_owned(),
            token: token.clone(),
            ..Provider::default()
        },
        webhooks: Webhooks {
            twilio_auth_tokens: vec![token],
            hub_verify_token: Secret::new("verify"),
            hub_app_secrets: vec![Secret::new("hub")],
            ..Webhooks::default()
        },
        whatsapp_window: Window::Off,
        ..Settings::default()
    }
}

pub(super) fn world() -> World {
    with(settings())
}

pub(super) fn with(settings: Settings) -> World {
    let mut world = World::with(settings.clone());
    world.settings = Some(Arc::new(settings));
    accepts(&mut world);
    world
}

/// The provider takes everything, and numbers what it takes.
pub(super) fn accepts(world: &mut World) {
    let number = Cell::new(0);
    world.outside.says(move |_| {
        number.set(number.get() + 1);
        answer(201, &json!({"sid": format!("SM{}", number.get()), "status": "queued"}).to_string())
    });
}

/// It says this, and counts how often.
pub(super) fn always(world: &mut World, says: impl Fn() -> Result<Fetched, FetchError> + 'static) -> Rc<Cell<u32>> {
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    world.outside.says(move |_| {
        counted.set(counted.get() + 1);
        says()
    });
    count
}

pub(super) fn field(fetch: &Fetch, name: &str) -> String {
    percent::value(std::str::from_utf8(&fetch.body).unwrap(), name).unwrap_or_default()
}

/// Texts that the provider was asked to bring, in order.
pub(super) fn bodies(world: &World) -> Vec<String> {
    world.outside.asked.iter().map(|fetch| field(fetch, "Body")).collect()
}

/// Fields as a form.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", percent::encode(value))).collect();
    fields.join("&")
}

/// How Twilio signs them.
pub(super) fn signature(url: &str, fields: &[(&str, &str)]) -> String {
    let mut signed = fields.to_vec();
    signed.sort_unstable();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    signed.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// A webhook of Twilio, signed; its status and body.
pub(super) fn twilio(world: &mut World, target: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let signature = signature(&format!("https://chat.example{target}"), fields);
    world.requests_with(&ROW, "POST", target, |call| {
        call.headers = vec![("x-twilio-signature", signature.into())];
        call.body = form(fields).into();
    });
    world.replies.last().cloned().expect("it is answered")
}

pub(super) fn inbound(world: &mut World, sid: &str, text: &str) -> (u16, Value) {
    let (from, to) = (format!("whatsapp:{THEIRS}"), format!("whatsapp:{OURS}"));
    let fields = [("MessageSid", sid), ("From", &from), ("To", &to), ("Body", text), ("ProfileName", "Ana")];
    twilio(world, "/utalk/webhooks/twilio/whatsapp", &fields)
}

/// A receipt by our id, or by the provider's.
pub(super) fn receipt(world: &mut World, id: &str, sid: &str, status: &str) -> u16 {
    let target = format!("/utalk/webhooks/twilio/status?m={id}&s=t1%2Fw1");
    let from = format!("whatsapp:{OURS}");
    let fields = [("MessageSid", sid), ("MessageStatus", status), ("From", &from), ("ErrorCode", "30008")];
    twilio(world, &target, &fields).0
}

pub(super) fn calls_on_disk(world: &World, word: &'static str) -> u64 {
    let sql = "SELECT count(*) AS count FROM ut_messages WHERE coalesce(call, 'none') = ?1";
    world.store.rows::<Count>(Statement::new(sql).bind(word))[0].0
}

pub(super) fn two_agents(world: &mut World) -> (Id, Id) {
    assert_eq!(inbound(world, "SMi0", "Hola").0, 200);
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.send(b, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.pass(100);
    world.forget(&[a, b]);
    (a, b)
}

/// Messages of ours, by seq.
pub(super) fn ours(world: &World) -> Vec<Message> {
    let mut messages = world.messages();
    messages.retain(|message| message.direction == Direction::Outbound);
    messages
}

pub(super) fn only(names: &[String], wanted: &[&str]) -> Vec<String> {
    names.iter().filter(|name| wanted.contains(&&***name)).cloned().collect()
}

pub(super) const MESSAGES: &[&str] =
    &["message:new", "message:sent", "message:error", "message:delivered", "message:read"];

/// A webhook of Meta, signed.
pub(super) fn meta(world: &mut World, target: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"hub").unwrap();
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", crate::base::hex::hex(&mac.finalize().into_bytes()));
    world.requests_with(&ROW, "POST", target, |call| {
        call.headers = vec![("x-hub-signature-256", signature.into())];
        call.body = body.into();
    });
    world.replies.last().cloned().expect("it is answered")
}
