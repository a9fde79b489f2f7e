//! What is known of one method at one path: calls, parameters, bodies, responses.
//!
//! In: observations of it. Out: bounded counts, names and shapes that merge. No literal value but small vocabularies.

use crate::body::{self, Bodies};
use crate::bounded::{Bound, Count, Entry, Seen, Thinned};
use crate::class::Class;
use crate::credentials;
use crate::headers;
use crate::latency::Latency;
use crate::observation::Observation;
use crate::parameter::Parameter;
use crate::procedures;
use crate::shape::{OPAQUE, Scale};
use serde::{Deserialize, Serialize};

/// Everything about one operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Evidence {
    pub calls: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    /// Calls whose path ended in a slash.
    pub slashes: u64,
    pub latency: Latency,
    pub shims: Thinned<Count>,
    pub query: Thinned<Parameter>,
    pub headers: Thinned<Parameter>,
    pub cookies: Thinned<Parameter>,
    /// Calls by the kinds of credentials they carried together, each kind on a line, see [`credentials::credentials`]. The
    /// empty text stands for none.
    pub credentials: Thinned<Count>,
    /// Grants of an OAuth 2 token endpoint, see [`credentials::grants`].
    pub grants: Thinned<Count>,
    /// What calls named behind this one path, see [`procedures::called`].
    pub procedures: Thinned<Count>,
    pub request: Bodies,
    /// By status code.
    pub responses: Thinned<Response>,
    scale: Scale,
    /// What it may charge; 0 before that is known.
    whole: u32,
}

/// Responses of one status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Response {
    pub count: u64,
    pub headers: Thinned<Parameter>,
    pub bodies: Bodies,
}

/// What one operation may charge its node at most.
const WHOLE: u32 = 512 * 1024;
/// At this scale nothing but counts is kept.
const BARE: Scale = OPAQUE + 1;

fn names(scale: Scale, entries: usize) -> Bound {
    if scale >= BARE {
        Bound {
            charge: 0,
            entries: 0,
        }
    } else {
        Bound {
            charge: (40 * 1024) >> scale,
            entries: entries >> scale,
        }
    }
}

impl Evidence {
    pub(crate) fn learn(&mut self, o: &Observation<'_>, whole: u32, identities: &mut Seen) {
        self.whole = Evidence::most(whole);
        if self.calls == 0 {
            (self.first_seen, self.last_seen) = (o.unix_millis, o.unix_millis);
        }
        self.calls += 1;
        self.first_seen = self.first_seen.min(o.unix_millis);
        self.last_seen = self.last_seen.max(o.unix_millis);
        self.slashes += u64::from(o.path.len() > 1 && o.path.ends_with('/'));
        if let Some(micros) = o.duration_micros {
            self.latency.add(micros);
        }
        let scale = self.scale;
        self.shims.count(o.shim, names(scale, 8));
        // What a server refused to understand tells names at most.
        let understood = !matches!(o.status, 400 | 404 | 405 | 414 | 431);
        self.learn_query(o, scale, understood);
        for (name, value) in o.request.headers {
            if headers::is_parameter(name, o) {
                parameter(
                    &mut self.headers,
                    name,
                    names(scale, 32),
                    understood,
                    scale,
                    value,
                );
            } else if *name == "cookie" && !headers::is_browser(o) {
                for (name, value) in headers::cookies(value) {
                    parameter(
                        &mut self.cookies,
                        name,
                        names(scale, 16),
                        understood,
                        scale,
                        value.as_bytes(),
                    );
                }
            }
        }
        self.credentials
            .count(&credentials::credentials(o).join("\n"), names(scale, 16));
        for grant in credentials::grants(o) {
            self.grants.count(&grant, names(scale, 32));
        }
        for procedure in procedures::called(o) {
            self.procedures.count(&procedure, queries(scale));
        }
        self.request.learn(&o.request, scale, identities);
        let mut digits = [0u8; 3];
        for (at, divisor) in [100, 10, 1].into_iter().enumerate() {
            digits[at] = b'0' + (o.status / divisor % 10) as u8;
        }
        let bound = responses(scale);
        let slot = self
            .responses
            .slot(std::str::from_utf8(&digits).unwrap_or("000"), bound);
        let response = self.responses.at(slot);
        let before = response.charge();
        response.count += 1;
        for (name, value) in o.response.headers {
            if headers::is_response_header(name) {
                parameter(
                    &mut response.headers,
                    name,
                    names(scale, 16),
                    true,
                    scale,
                    value,
                );
            }
        }
        response.bodies.learn(&o.response, scale, identities);
        self.responses.settle(slot, before, bound);
        self.fit(0);
    }

    fn learn_query(&mut self, o: &Observation<'_>, scale: Scale, understood: bool) {
        let Some(query) = o.query else { return };
        let mut seen: Vec<(String, u32)> = Vec::new();
        for (name, value) in body::pairs(query).take(512) {
            if credentials::is_query_credential(&name) {
                continue;
            }
            let again = match seen.iter_mut().find(|(n, _)| *n == name) {
                Some((_, times)) => {
                    *times += 1;
                    *times
                }
                None => {
                    seen.push((name.clone().into_owned(), 1));
                    1
                }
            };
            let bound = queries(scale);
            let slot = if !is_query_name(&name) {
                self.query.rest_slot()
            } else {
                self.query.slot(&name, bound)
            };
            let p = self.query.at(slot);
            let before = p.charge();
            if understood {
                p.calls += u64::from(again == 1);
                p.repeated += u64::from(again == 2);
                p.learn(&value, scale);
            } else {
                p.refused += u64::from(again == 1);
            }
            self.query.settle(slot, before, bound);
        }
    }

    pub(crate) fn merge(&mut self, mut other: Evidence) {
        if other.calls == 0 {
            return;
        }
        if self.calls == 0 {
            *self = other;
            return;
        }
        let scale = self.scale.max(other.scale);
        self.whole = match (self.whole, other.whole) {
            (0, w) | (w, 0) => w,
            (a, b) => a.min(b),
        };
        self.fit(scale);
        other.fit(scale);
        self.calls += other.calls;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.slashes += other.slashes;
        self.latency.merge(&other.latency);
        self.shims.merge(other.shims);
        self.query.merge(other.query);
        self.headers.merge(other.headers);
        self.cookies.merge(other.cookies);
        self.credentials.merge(other.credentials);
        self.grants.merge(other.grants);
        self.procedures.merge(other.procedures);
        self.request.merge(other.request);
        self.responses.merge(other.responses);
        self.fit(scale);
    }

    /// Fits into `whole` from now on.
    pub(crate) fn bind(&mut self, whole: u32) {
        self.whole = Evidence::most(whole);
        self.fit(0);
    }

    /// What one may charge where its node allows `whole`.
    pub(crate) fn most(whole: u32) -> u32 {
        whole.min(WHOLE)
    }

    /// What it may charge; 0 before that is known.
    pub(crate) fn whole(&self) -> u32 {
        self.whole
    }

    /// To be merged with others for good: it needs no bound any more.
    pub(crate) fn unbound(self) -> Evidence {
        Evidence { whole: 0, ..self }
    }

    /// Halves every bound until the whole fits.
    fn fit(&mut self, least: Scale) {
        while self.scale < least
            || (self.whole > 0 && self.raw_charge() > self.whole && self.scale < BARE)
        {
            self.scale += 1;
            let scale = self.scale;
            self.shims.fit(names(scale, 8));
            self.query.fit(queries(scale));
            self.headers.fit(names(scale, 32));
            self.cookies.fit(names(scale, 16));
            self.credentials.fit(names(scale, 16));
            self.grants.fit(names(scale, 32));
            self.procedures.fit(queries(scale));
            self.request.fit(scale);
            self.responses.adjust(responses(scale), |r| {
                r.headers.fit(names(scale, 16));
                r.bodies.fit(scale);
            });
        }
    }

    /// What it really holds.
    fn raw_charge(&self) -> u32 {
        let parts = [
            self.shims.charge(),
            self.query.charge(),
            self.headers.charge(),
            self.cookies.charge(),
            self.credentials.charge(),
            self.grants.charge(),
            self.procedures.charge(),
            self.latency.charge(),
            self.request.charge(),
            self.responses.charge(),
        ];
        parts
            .into_iter()
            .fold(size_of::<Evidence>() as u32 + 256, u32::saturating_add)
    }

    /// The charge a node counts: all of the bound once something was given up.
    pub(crate) fn charge(&self) -> u32 {
        if self.scale == 0 {
            self.raw_charge()
        } else {
            self.whole.max(self.raw_charge())
        }
    }

    pub(crate) fn heap(&self) -> usize {
        self.latency.heap()
            + self.shims.heap()
            + self.query.heap()
            + self.headers.heap()
            + self.cookies.heap()
            + self.credentials.heap()
            + self.grants.heap()
            + self.procedures.heap()
            + self.request.heap()
            + self.responses.heap()
    }
}

/// Whether a status in text shows that the operation exists.
pub(crate) fn is_success(status: &str) -> bool {
    status.starts_with('2') || status == "101"
}

fn responses(scale: Scale) -> Bound {
    if scale >= BARE {
        Bound {
            charge: 0,
            entries: 0,
        }
    } else {
        Bound {
            charge: (448 * 1024) >> scale,
            entries: 48,
        }
    }
}

/// Operations for searching take a hundred and more.
fn queries(scale: Scale) -> Bound {
    let most = names(scale, 192);
    Bound {
        charge: most.charge * 2,
        ..most
    }
}

/// `filter[status]`, `ids[]` and `minVitaminB12` are names; an id or a sentence is none.
fn is_query_name(name: &str) -> bool {
    let bare: String = name
        .chars()
        .map(|c| {
            if matches!(c, '[' | ']' | '$' | '@' | '(' | ')') {
                '_'
            } else {
                c
            }
        })
        .collect();
    match Class::of(&bare) {
        None | Some(Class::List | Class::Semver) => true,
        // Words and a number behind them change their kind of character as often as a token does.
        Some(Class::Token) => bare
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .bytes()
            .all(|b| b.is_ascii_alphabetic() || b"_-.:".contains(&b)),
        Some(_) => false,
    }
}

fn parameter(
    map: &mut Thinned<Parameter>,
    name: &str,
    bound: Bound,
    understood: bool,
    scale: Scale,
    value: &[u8],
) {
    let slot = map.slot(name, bound);
    let p = map.at(slot);
    let before = p.charge();
    if understood {
        p.calls += 1;
        match std::str::from_utf8(value) {
            Ok(text) => p.learn(text, scale),
            Err(_) => p.learn_opaque(),
        }
    } else {
        p.refused += 1;
    }
    map.settle(slot, before, bound);
}

impl Entry for Response {
    fn merge(&mut self, other: Response) {
        self.count += other.count;
        self.headers.merge(other.headers);
        self.bodies.merge(other.bodies);
    }
    fn charge(&self) -> u32 {
        self.headers.charge() + self.bodies.charge()
    }
    fn heap(&self) -> usize {
        self.headers.heap() + self.bodies.heap()
    }
}
