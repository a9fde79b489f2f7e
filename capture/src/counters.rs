//! Why an exchange was not captured or did not arrive, and how many: the reasons' stable names and the totals.
//!
//! Nothing here decides anything. `captured = acknowledged + dropped + queued` holds at every moment.

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every reason, in the order of [`Self::index`].
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The stable name that goes over the wire and into metrics, logs and documentation.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The position in [`Self::ALL`], for tables of counters.
            pub const fn index(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Why the settings say that an exchange is not captured.
    Skip {
        /// `excluded_methods` names its method.
        ExcludedMethod = "excluded_method",
        /// `include_hosts` does not name its host, or `exclude_hosts` does.
        ExcludedHost = "excluded_host",
        /// `include_paths` does not name its path, or `exclude_paths` does.
        ExcludedPath = "excluded_path",
        /// It carries one of `excluded_headers`.
        ExcludedHeader = "excluded_header",
        /// `excluded_statuses` names its status.
        ExcludedStatus = "excluded_status",
        /// `sample_rate` left it out.
        SampledOut = "sampled_out",
        /// The gateway could not read the request: there is no method or no target to record.
        Malformed = "malformed",
    }
}

reasons! {
    /// Why an exchange that was captured will not be learnt.
    DropReason {
        /// `queue_bytes` was reached: the collector is slower than the traffic, or away.
        QueueFull = "queue_full",
        /// The shim gave up because the collector could not be reached.
        Unreachable = "unreachable",
        /// The collector said it will never take the batch.
        Rejected = "rejected",
        /// The gateway stopped before the collector acknowledged.
        Shutdown = "shutdown",
        /// One exchange alone is larger than `queue_bytes`.
        TooLarge = "too_large",
        /// The shim failed while it recorded; the client's request did not notice.
        Fault = "fault",
    }
}

/// Totals since the start, and how full the queue is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Exchanges that were recorded, whatever became of them.
    pub captured: u64,
    /// Exchanges given to the transport at least once.
    pub sent: u64,
    /// Exchanges the collector has durably.
    pub acknowledged: u64,
    /// Exchanges lost, by [`DropReason::index`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Exchanges not captured, by [`Skip::index`].
    pub skipped: [u64; Skip::ALL.len()],
    /// Exchanges that wait or are in flight.
    pub queued: u64,
    /// Bytes that wait or are in flight; never above `queue_bytes`.
    pub queue_bytes: u64,
}

impl Counters {
    /// Exchanges lost for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason.index()).copied().unwrap_or(0)
    }

    /// Exchanges not captured for this reason.
    pub fn skipped(&self, reason: Skip) -> u64 {
        self.skipped.get(reason.index()).copied().unwrap_or(0)
    }

    /// Exchanges lost for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Exchanges not captured for any reason.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.iter().sum()
    }

    pub(crate) fn count_dropped(&mut self, reason: DropReason, count: u64) {
        if let Some(total) = self.dropped.get_mut(reason.index()) {
            *total = total.saturating_add(count);
        }
    }

    pub(crate) fn count_skipped(&mut self, reason: Skip) {
        if let Some(total) = self.skipped.get_mut(reason.index()) {
            *total = total.saturating_add(1);
        }
    }
}
