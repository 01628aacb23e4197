//! Calls that an application's shell answers, and what it asks of homes meanwhile: calls of the same application, made of its
//! questions and judged by the same rows.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::Api;
use super::answer::{self, BAD_REPLY, TOO_LARGE};
use super::routes::Owned;
use crate::app::AuthFailure;
use crate::app::asker::Asker;
use crate::app::identity::Identity;
use crate::app::reply::{Answer, Content, Reply};
use crate::app::route::shell::{Given, Homes, Items, Later, Question, Shell, Socket, Speech, Unwatched};
use crate::app::route::{Body, Call, Place, Refused, Who};

/// What `shell` gives a call, in its time.
pub(super) async fn answer(api: &Api, owned: Owned, shell: &'static dyn Shell, call: Call) -> Result<Given, Refused> {
    let homes = Arc::new(OfApplication::of(api, owned, &call));
    let given = timeout(api.settings.shell_timeout, shell.answer(call, homes)).await;
    given.map_err(|_| Refused::NO_ANSWER)
}

/// The answer to a call for which a WebSocket can be opened: what `shell` will do with that. The listener writes the 101.
pub(super) fn speech(api: &Api, owned: Owned, shell: &'static dyn Shell, call: Call) -> Response {
    let homes = Arc::new(OfApplication::of(api, owned, &call));
    let speak = move |socket: Box<dyn Socket>| shell.speak(call.clone(), socket, homes.clone());
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    response.extensions_mut().insert(Speech(Arc::new(speak)));
    response
}

/// The homes of one application, as the shell knows them while it has one request in hand.
struct OfApplication {
    api: Api,
    owned: Owned,
    ip: IpAddr,
    dialect: Option<&'static str>,
}

impl OfApplication {
    fn of(api: &Api, owned: Owned, call: &Call) -> OfApplication {
        OfApplication { api: api.clone(), owned, ip: call.ip, dialect: call.dialect }
    }

    /// The question as a call that has found its home, or why it is none.
    fn call(&self, asker: &Asker, question: Question) -> Result<Call, Refused> {
        let route = self.owned.row.http.route(question.route).ok_or(NO_QUESTION)?;
        if matches!(route.who, Who::Token { .. }) && asker.identity.is_none() {
            return Err(Refused::NO_TOKEN);
        }
        let bytes_max = match route.body {
            // A shell has no file to flow.
            Body::None | Body::Upload { .. } => 0,
            Body::Json { bytes_max } | Body::Raw { bytes_max, .. } => bytes_max,
        };
        let Question { values, query, body, .. } = question;
        if body.len() > bytes_max {
            return Err(TOO_LARGE);
        }
        let (identity, rights) = (asker.identity.clone(), asker.rights);
        let (dialect, chosen) = (self.dialect, self.api.settings.of(self.owned.row.name));
        let asked = Call { values, query, body, dialect, chosen, ..Call::of(route, self.ip) };
        let call = Call { identity, rights, ..asked };
        match (route.home)(&call)? {
            Place::At(home) => Ok(Call { home, ..call }),
            Place::Each(_) => Err(NO_QUESTION),
        }
    }

    /// The first answer, and what brings the others.
    async fn begin(&self, asker: &Asker, question: Question) -> Result<(Reply, Box<dyn Items>), Refused> {
        let call = self.call(asker, question)?;
        // A shell that does not take its items finds their end; its connection is none to be cut by a home.
        let mut answers = self.api.backend.call(self.owned.row.name, call, Arc::default());
        match answer::next(&self.api, &mut *answers).await {
            Some(Answer::Reply(reply)) => Ok((reply, answers)),
            _ => Err(Refused::NO_ANSWER),
        }
    }
}

impl Homes for OfApplication {
    fn identify(&self, token: &str) -> Result<Arc<Identity>, AuthFailure> {
        self.api.backend.verify(token)
    }

    fn ask<'a>(&'a self, asker: &'a Asker, question: Question) -> Later<'a, Result<Reply, Refused>> {
        Box::pin(async move {
            match self.begin(asker, question).await? {
                (Reply { content: Content::Stream, .. }, _) => Err(BAD_REPLY),
                (reply, _) => Ok(reply),
            }
        })
    }

    fn watch<'a>(&'a self, asker: &'a Asker, question: Question) -> Later<'a, Result<Box<dyn Items>, Unwatched>> {
        Box::pin(async move {
            match self.begin(asker, question).await.map_err(Unwatched::Refused)? {
                (Reply { content: Content::Stream, .. }, items) => Ok(items),
                (reply, _) => Err(Unwatched::Answered(reply)),
            }
        })
    }
}

/// The application's own mistake.
const NO_QUESTION: Refused = Refused::new(500, "INTERNAL", "the application has no home for what its shell asks");

#[cfg(test)]
mod tests;
