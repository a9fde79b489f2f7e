//! One configuration in one worker: it takes the configuration, ticks, and the collector's answers.
//!
//! In: the host's calls for the root context. Out: batches. Kong runs the configurations of all its routes in one instance
//! of this module, so that nothing here is shared with another root. A tick that comes twice, or late, or not, does no harm:
//! what is due is asked of the outbox.

use std::time::Duration;

use silhouette_capture::reply::MOST_ANSWER;

use crate::host::{self, Buffer, Level, Map};
use crate::queue::Queue;
use crate::settings::{self, Configuration, Gateway};

/// A tick sends one batch at most, so that this bounds what a worker can send: some 20 MB a second.
const BUSY: Duration = Duration::from_millis(25);
/// How long a tick may be away when there is little to send.
const LONGEST_PERIOD: Duration = Duration::from_millis(500);

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Root {
    configuration: Option<Configuration>,
    queue: Option<Queue>,
    /// The gateway is done with this configuration; what waits is still sent.
    leaving: bool,
    /// Between two ticks now, and when there is little to send.
    period: Duration,
    calm: Duration,
}

impl Root {
    /// Reads the configuration; whether the gateway should go on with this filter. `id` is the number it gave this root.
    pub(crate) fn configure(&mut self, id: u32, size: usize) -> bool {
        let bytes = host::buffer(Buffer::Configuration, size).unwrap_or_default();
        let configuration = match settings::read(&bytes, looks_like(id)) {
            Ok(configuration) => configuration,
            Err(refused) => {
                let (consequence, goes_on) = match refused.gateway {
                    Gateway::Envoy => ("the configuration is refused", false),
                    // Kong would answer every request of the route with 500.
                    Gateway::Kong => ("nothing is captured where this filter is attached", true),
                };
                let text = format!("silhouette: {}; {consequence}", refused.text);
                host::log(Level::Error, &text);
                return goes_on;
            }
        };
        let half = Duration::from_millis(configuration.policy.flush_interval_ms() / 2);
        self.calm = match configuration.gateway {
            // It can be told once.
            Gateway::Kong => half.min(BUSY),
            Gateway::Envoy => half.min(LONGEST_PERIOD),
        };
        self.tick_every(self.calm);
        self.configuration = Some(configuration);
        true
    }

    /// The queue, made when the first exchange comes: in Kong, what is said of the gateway can be asked only then. `None`
    /// when the configuration was refused.
    pub(crate) fn queue(&mut self) -> Option<&mut Queue> {
        if let Some(configuration) = self.configuration.take() {
            self.queue = Some(Queue::new(configuration));
        }
        self.queue.as_mut()
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self) {
        let Some(queue) = &mut self.queue else {
            return;
        };
        queue.tick();
        let busy = queue.has_more();
        if self.leaving && queue.is_over() {
            self.queue = None;
            host::done();
            return;
        }
        self.tick_every(if busy { BUSY.min(self.calm) } else { self.calm });
    }

    fn tick_every(&mut self, period: Duration) {
        if self.period != period {
            self.period = period;
            host::tick_every(period);
        }
    }

    /// The gateway is done with this configuration: whether it may go at once. Envoy waits for [`host::done`] otherwise.
    pub(crate) fn leave(&mut self) -> bool {
        self.configuration = None;
        self.leaving = self.queue.as_mut().is_some_and(Queue::leave);
        !self.leaving
    }

    /// Whether this call is its own and still in flight.
    pub(crate) fn awaits(&self, token: u32) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.awaits(token))
    }

    /// The call in flight was answered with a body of `size` bytes, or failed.
    pub(crate) fn answered(&mut self, size: usize) {
        if let Some(queue) = &mut self.queue {
            let headers = host::headers(Map::CallResponse);
            let body = match size {
                0 => None,
                // Memory that once grew stays: a stranger's answer may be of any size.
                _ => host::buffer(Buffer::CallResponseBody, size.min(MOST_ANSWER)),
            };
            queue.answered(&headers, &body.unwrap_or_default());
        }
    }
}

/// Envoy counts contexts from one, Kong's number for a root is a hash. Asking would be surer, and nothing can be asked in
/// both without harm: of a root, older Kongs answer `plugin_root_id` by following a pointer to nothing.
fn looks_like(id: u32) -> Gateway {
    match u16::try_from(id) {
        Ok(_) => Gateway::Envoy,
        Err(_) => Gateway::Kong,
    }
}
