//! The tower layer that decides, before a request is decoded, whether its caller may make it.

mod credentials;
mod fallback;
mod peek;
mod wire;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, request::Parts};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

pub use fallback::{RemoteFallback, TokenFallback};

use crate::{
    caller::{Caller, ServiceCaller, UserCaller},
    engine::{AccessState, Refusal, VerifiedToken},
    rights::{Rights, RightsSource},
    rules::{Rule, Rules},
    services::{PeerInfo, ServiceIdentities, ServiceIdentity},
    status::{ErrorReason, Failure},
};
use fallback::Flights;

/// What a guard decides with.
pub struct GuardConfig {
    /// The rule of every method.
    pub rules: Arc<Rules>,
    /// The keys and revocations, kept fresh by a follower.
    pub state: Arc<AccessState>,
    /// Who is asked about a token while the state is stale. Without one, stale means refused.
    pub fallback: Option<Arc<dyn TokenFallback>>,
    /// What users may do now.
    pub rights: Arc<dyn RightsSource>,
    /// The services that may call service methods.
    pub services: ServiceIdentities,
    /// Beginnings of paths that anybody may call, such as `/grpc.health.v1.Health/`.
    pub exempt: Vec<String>,
}

/// Hears of callers who are known and are refused for want of a right.
pub trait Witness: Send + Sync {
    /// A caller lacks a permission or scope for a method, given by its path. It is waited for, so it must not wait; the
    /// extensions are those of the request.
    fn refused(&self, method: &str, caller: &Caller, lacking: &str, request: &Extensions);
}

/// Decides whether a caller may make a call.
pub struct Guard {
    rules: Arc<Rules>,
    state: Arc<AccessState>,
    fallback: Option<Flights>,
    rights: Arc<dyn RightsSource>,
    services: ServiceIdentities,
    exempt: Vec<String>,
    witness: Option<Arc<dyn Witness>>,
}

impl Guard {
    /// A guard.
    #[must_use]
    pub fn new(config: GuardConfig) -> Self {
        Self {
            rules: config.rules,
            state: config.state,
            fallback: config.fallback.map(Flights::new),
            rights: config.rights,
            services: config.services,
            exempt: config.exempt,
            witness: None,
        }
    }

    /// The same, with somebody who hears of refusals.
    #[must_use]
    pub fn witnessed(self, witness: Arc<dyn Witness>) -> Self {
        Self {
            witness: Some(witness),
            ..self
        }
    }

    fn tell(&self, parts: &Parts, lacking: &str, caller: impl FnOnce() -> Caller) {
        if let Some(witness) = &self.witness {
            witness.refused(parts.uri.path(), &caller(), lacking, &parts.extensions);
        }
    }

    /// Who calls, when the call is allowed; and the body, of which the beginning may have been looked at.
    async fn authorize(&self, parts: &Parts, body: Body) -> Result<(Caller, Body), Failure> {
        let path = parts.uri.path();
        let Some(rule) = self.rules.get(path) else {
            // After the rules, so that an exempt prefix can never open a method that has a rule.
            if self.exempt.iter().any(|prefix| path.starts_with(prefix)) {
                return Ok((Caller::Anonymous, body));
            }
            return Err(Failure::new(ErrorReason::MethodNotFound, "no such method"));
        };
        match rule {
            Rule::Public => Ok((Caller::Anonymous, body)),
            Rule::Authenticated => {
                let token = self.token(credentials::bearer(&parts.headers)?).await?;
                Ok((user(token, None, false), body))
            }
            Rule::Permission(permission) => {
                let text = credentials::bearer(&parts.headers)?;
                let token = self.token(text).await?;
                let rights = self.rights_of_active(&token, text).await?;
                if !rights.holds(permission) {
                    self.tell(parts, permission, || user(token, Some(rights), false));
                    return Err(Failure::permission_required(permission));
                }
                Ok((user(token, Some(rights), false), body))
            }
            Rule::SelfOrPermission { permission, field } => {
                let text = credentials::bearer(&parts.headers)?;
                let token = self.token(text).await?;
                let rights = self.rights_of_active(&token, text).await?;
                let (is_self, body) = peek::names(body, field, &token.claims().sub).await;
                if !is_self && !rights.holds(permission) {
                    self.tell(parts, permission, || user(token, Some(rights), false));
                    // The same whether the named user exists or not.
                    return Err(Failure::new(ErrorReason::NotFound, "no such object"));
                }
                Ok((user(token, Some(rights), is_self), body))
            }
            Rule::Service { scope } => {
                let service = self.service(parts)?;
                if !service.allows(scope) {
                    let name = service.name.clone();
                    self.tell(parts, scope, || Caller::Service(ServiceCaller { name }));
                    return Err(Failure::new(
                        ErrorReason::ScopeRequired,
                        format!("this call needs the scope {scope}"),
                    )
                    .with_metadata("scope", scope));
                }
                let name = service.name.clone();
                Ok((Caller::Service(ServiceCaller { name }), body))
            }
        }
    }

    /// The token with this text, verified and not ended.
    async fn token(&self, text: &str) -> Result<Arc<VerifiedToken>, Failure> {
        match self.state.check(text) {
            Ok(token) => Ok(token),
            Err(Refusal::Stale) => match &self.fallback {
                Some(flights) => flights.validate(text).await,
                None => Err(fallback::unavailable()),
            },
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// The user's rights now; a user that may not be active has lost the token's worth.
    async fn rights_of_active(
        &self,
        token: &VerifiedToken,
        text: &str,
    ) -> Result<Arc<Rights>, Failure> {
        let rights = self.rights.rights(token, text).await?;
        if rights.active {
            Ok(rights)
        } else {
            Err(refused(Refusal::Revoked))
        }
    }

    /// The service at the other end: by the connection's own certificate, else by its key.
    fn service(&self, parts: &Parts) -> Result<&ServiceIdentity, Failure> {
        let by_certificate = parts
            .extensions
            .get::<PeerInfo>()
            .and_then(|peer| self.services.by_sans(&peer.sans));
        by_certificate
            .or_else(|| {
                self.services
                    .by_key(credentials::service_key(&parts.headers)?)
            })
            .ok_or_else(|| {
                Failure::new(
                    ErrorReason::ServiceIdentityRequired,
                    "this call needs a known service identity",
                )
            })
    }
}

fn user(token: Arc<VerifiedToken>, rights: Option<Arc<Rights>>, is_self: bool) -> Caller {
    let claims = token.claims();
    Caller::User(UserCaller {
        user_id: claims.sub.clone(),
        session_id: claims.sid.clone(),
        client_id: claims.client_id.clone(),
        is_self,
        rights,
        token,
    })
}

/// The failure that a refused token answers.
pub(crate) fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Missing => {
            Failure::new(ErrorReason::TokenMissing, "this call needs an access token")
        }
        Refusal::Invalid => {
            Failure::new(ErrorReason::TokenInvalid, "the access token is not valid")
        }
        Refusal::Expired => Failure::new(ErrorReason::TokenExpired, "the access token has expired"),
        Refusal::Revoked => Failure::new(ErrorReason::TokenRevoked, "the access token was revoked"),
        Refusal::Stale => fallback::unavailable(),
    }
}

/// Puts a guard in front of a service.
///
/// It belongs inside of layers that translate, such as gRPC-Web, since it looks into gRPC messages; and inside of
/// the deadline, since it may wait for a message or for another service.
#[derive(Clone)]
pub struct GuardLayer(Arc<Guard>);

impl GuardLayer {
    /// A layer that decides with a guard.
    #[must_use]
    pub fn new(guard: Arc<Guard>) -> Self {
        Self(guard)
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            guard: Arc::clone(&self.0),
            inner,
        }
    }
}

/// A service behind a guard.
#[derive(Clone)]
pub struct Guarded<S> {
    guard: Arc<Guard>,
    inner: S,
}

impl<S, B, R> Service<http::Request<B>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let guard = Arc::clone(&self.guard);
        // The service that was polled ready is the one to call; its clone waits for its own turn.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match guard.authorize(&parts, Body::new(body)).await {
                Ok((caller, body)) => {
                    parts.extensions.insert(caller);
                    inner.call(http::Request::from_parts(parts, body)).await
                }
                Err(failure) => Ok(Status::from(failure).into_http()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
