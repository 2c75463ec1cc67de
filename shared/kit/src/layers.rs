//! The layers between a connection and a handler, outermost first.
//!
//! 1. **request id**: everything after it can name the call, and every answer carries the name.
//! 2. **trace**: span and metrics see the answer that the caller sees, so they stand outside of whatever changes it.
//! 3. **mend**: every error leaves with a reason of the contract, also those of the layers below and of the library.
//! 4. **catch**: a panic becomes an error like any other, and is then traced and mended.
//! 5. **shed**: what cannot be served in time is refused before it costs anything.
//! 6. **deadline**: counts from the arrival, on a thread that a busy store cannot stop.
//! 7. **dispatch**: leaves the connection's thread for the store's runtime, but for health and the short methods.
//! 8. **doors**: health, reflection and plain HTTP, or the guard and behind it the RPCs.

mod arrival;
mod catch;
mod deadline;
mod dispatch;
mod doors;
mod mend;
mod method;
mod request_id;
mod shed;
mod trace;
mod wire;

use std::{collections::HashSet, sync::Arc};

use prometheus::Registry;
use tokio::{runtime::Handle, sync::Semaphore};
use tower::ServiceBuilder;

pub(crate) use arrival::Arrivals;
pub(crate) use doors::{Doors, Services, http};
use method::Methods;
use request_id::RequestIds;
pub(crate) use shed::BeyondShare;

use crate::server::Limits;

/// A listener's whole stack of layers.
pub(crate) type Stack = request_id::Service<
    trace::Service<
        mend::Service<catch::Service<shed::Service<deadline::Service<dispatch::Service<Doors>>>>>,
    >,
>;

/// The body of what a [`Stack`] answers.
pub(crate) type StackBody = trace::Body<mend::Body<catch::Body<deadline::Body<tonic::body::Body>>>>;

/// What the stacks of all listeners share. Each has its own places for calls: strangers on the public listener must
/// not be able to take those of the other service.
pub(crate) struct Calls {
    ids: Arc<RequestIds>,
    methods: Arc<Methods>,
    room: usize,
    times: Arc<deadline::Times>,
    arrivals: Arrivals,
    store: Handle,
    short: Arc<HashSet<&'static str>>,
}

impl Calls {
    /// The shared part: metrics in `registry`, no default deadline for `endless`, everything but health and `short` on
    /// `store`.
    pub(crate) fn new(
        registry: &Registry,
        limits: &Limits,
        endless: &[&'static str],
        short: &[&'static str],
        store: Handle,
    ) -> Result<Self, prometheus::Error> {
        let endless = endless.iter().copied().chain(doors::ENDLESS);
        let methods = Methods::new(registry)?;
        Ok(Self {
            ids: Arc::new(RequestIds::new()),
            arrivals: Arrivals::new(limits.message_timeout, &methods),
            methods: Arc::new(methods),
            room: limits.max_calls,
            times: Arc::new(deadline::Times {
                longest: limits.max_call_time,
                endless: endless.collect(),
            }),
            store,
            short: Arc::new(short.iter().copied().collect()),
        })
    }

    /// The bound that a connection puts on the bodies of its requests.
    pub(crate) fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }

    /// The layers in front of a listener's doors.
    pub(crate) fn stack(&self, doors: Doors) -> Stack {
        let slots = Arc::new(Semaphore::new(self.room));
        ServiceBuilder::new()
            .layer_fn(|inner| request_id::Service::new(inner, Arc::clone(&self.ids)))
            .layer_fn(|inner| trace::Service::new(inner, Arc::clone(&self.methods)))
            .layer_fn(mend::Service::new)
            .layer_fn(catch::Service::new)
            .layer_fn(|inner| shed::Service::new(inner, Arc::clone(&slots)))
            .layer_fn(|inner| deadline::Service::new(inner, Arc::clone(&self.times)))
            .layer_fn(|inner| {
                dispatch::Service::new(inner, self.store.clone(), Arc::clone(&self.short))
            })
            .service(doors)
    }
}
