//! Parameters, bodies, responses and credentials: as described, and as seen.
//!
//! In: an operation of the description and the observed one that is the same. Out: findings. Headers that are never seen say
//! nothing, since those of transport and browsers are not learnt; headers of HTTP itself and credentials are no parameters.

use super::Drift;
use super::shapes::Way;
use crate::description::{Credential, Operation, Parameter, Place};
use crate::diff::{covering, is_ignored, media_of};
use crate::rule::Rule;
use crate::schema::SchemaId;

impl Drift<'_> {
    pub(super) fn contents(&mut self, documented: &Operation, observed: &Operation) {
        self.path_parameters(documented, observed);
        self.parameters(documented, observed);
        self.body(documented, observed);
        self.responses(documented, observed);
        self.credentials(documented, observed);
    }

    fn path_parameters(&mut self, documented: &Operation, observed: &Operation) {
        let pairs = documented.template.parameters_of(&observed.template);
        for (name, seen_name) in pairs {
            let find = |operation: &Operation, name: &str| {
                let mut all = operation.parameters_in(Place::Path);
                all.find(|parameter| parameter.name == name).cloned()
            };
            if let (Some(described), Some(seen)) =
                (find(documented, name), find(observed, seen_name))
            {
                self.parameter_values(documented, observed, &described, &seen);
            }
        }
    }

    fn parameters(&mut self, documented: &Operation, observed: &Operation) {
        let credentials = documented.security.credentials();
        let is_credential = |parameter: &Parameter| {
            let key = Credential::Key(parameter.place, parameter.name.clone());
            credentials
                .iter()
                .any(|credential| credential.is_sent_like(&key))
        };
        let sent = |parameter: &&Parameter| {
            parameter.place != Place::Path && !is_ignored(parameter) && !is_credential(parameter)
        };
        for parameter in observed.parameters.iter().filter(sent) {
            let subject = format!("{} {}", parameter.place.as_str(), parameter.name);
            let Some(described) = described_as(parameter, documented) else {
                let fixed = format!("{}=", parameter.name);
                // Browsers send every cookie of a host (RFC 6265, 5.4): that tells nothing of the operation.
                if parameter.place == Place::Cookie || documented.template.suffix.contains(&fixed) {
                    continue;
                }
                let message = format!("{} is sent and not described", parameter.shown());
                let at = (documented.pointer.as_str(), parameter.pointer.as_str());
                let rule = Rule::UndocumentedParameter;
                self.found(rule, (documented, observed), message, &subject, at);
                continue;
            };
            let described = described.clone();
            let at = (described.pointer.as_str(), parameter.pointer.as_str());
            if described.deprecated {
                let message = format!("{} is deprecated and still sent", described.shown());
                self.found(
                    Rule::ZombieParameter,
                    (documented, observed),
                    message,
                    &subject,
                    at,
                );
            }
            if described.required && !parameter.required {
                self.missing(documented, observed, &described);
            }
            self.parameter_values(documented, observed, &described, parameter);
        }
        for described in documented.parameters.iter().filter(sent) {
            let never = !observed.parameters.iter().any(|parameter| {
                described_as(parameter, documented)
                    .is_some_and(|known| known.key() == described.key())
            });
            if described.required && described.place == Place::Query && never {
                self.missing(documented, observed, described);
            }
        }
    }

    fn missing(&mut self, documented: &Operation, observed: &Operation, described: &Parameter) {
        let message = format!(
            "{} is required by the description, and calls without it succeeded",
            described.shown()
        );
        let subject = format!("{} {}", described.place.as_str(), described.name);
        let at = (described.pointer.as_str(), observed.pointer.as_str());
        let of = (documented, observed);
        self.found(Rule::MissingParameter, of, message, &subject, at);
    }

    fn parameter_values(
        &mut self,
        documented: &Operation,
        observed: &Operation,
        described: &Parameter,
        seen: &Parameter,
    ) {
        if let (Some(first), Some(second)) = (described.schema, seen.schema) {
            let both = (documented, observed);
            self.schemas(Way::Parameter, (first, second), &described.shown(), both);
        }
    }

    /// Compares schemas; `place` is what messages call them.
    fn schemas(
        &mut self,
        way: Way,
        (first, second): (SchemaId, SchemaId),
        place: &str,
        (documented, observed): (&Operation, &Operation),
    ) {
        let number = self.number(documented, observed);
        self.shapes.compare(way, (first, second), place, number);
    }

    fn body(&mut self, documented: &Operation, observed: &Operation) {
        let Some(body) = &observed.body else {
            return;
        };
        for (media, content) in &body.content {
            let described = documented
                .body
                .as_ref()
                .and_then(|body| media_of(&body.content, media));
            let Some((_, described)) = described else {
                let message = if documented.body.is_some() {
                    format!("requests come as {media}, which is not described")
                } else {
                    format!("requests have a body ({media}), and none is described")
                };
                let first = documented.body.as_ref();
                let first = first.map_or(&documented.pointer, |body| &body.pointer);
                let at = (first.as_str(), content.pointer.as_str());
                let rule = Rule::UndocumentedRequestMediaType;
                self.found(rule, (documented, observed), message, media, at);
                continue;
            };
            if let (Some(first), Some(second)) = (described.schema, content.schema) {
                let way = if media.contains("form") {
                    Way::Form
                } else {
                    Way::Request
                };
                let both = (documented, observed);
                self.schemas(way, (first, second), "the request body", both);
            }
        }
    }

    fn responses(&mut self, documented: &Operation, observed: &Operation) {
        for response in &observed.responses {
            // Caches are no part of an API's description (RFC 9110, 15.4.5).
            if response.status == "304" || response.status == "default" {
                continue;
            }
            let Some(described) = covering(&response.status, &documented.responses) else {
                // By the letter `default` is every other status, and what it holds is the error mostly.
                if documented
                    .responses
                    .iter()
                    .any(|other| other.status == "default")
                {
                    continue;
                }
                let message = format!("status {} comes and is not described", response.status);
                let rule = if response.is_success() {
                    Rule::UndocumentedStatus
                } else {
                    Rule::UndocumentedError
                };
                let first = format!("{}/responses", documented.pointer);
                let at = (first.as_str(), response.pointer.as_str());
                self.found(rule, (documented, observed), message, &response.status, at);
                continue;
            };
            for (media, content) in &response.content {
                let name = format!("the response {}", response.status);
                let Some((_, known)) = media_of(&described.content, media) else {
                    let message = if described.content.is_empty() {
                        format!("{name} has a body ({media}), and none is described")
                    } else {
                        format!("{name} comes as {media}, which is not described")
                    };
                    let rule = Rule::UndocumentedResponseMediaType;
                    let at = (described.pointer.as_str(), content.pointer.as_str());
                    let subject = format!("{} {media}", response.status);
                    self.found(rule, (documented, observed), message, &subject, at);
                    continue;
                };
                if let (Some(first), Some(second)) = (known.schema, content.schema) {
                    let both = (documented, observed);
                    self.schemas(Way::Response, (first, second), &name, both);
                }
            }
        }
    }

    fn credentials(&mut self, documented: &Operation, observed: &Operation) {
        let first = format!("{}/security", documented.pointer);
        let at = (first.as_str(), observed.pointer.as_str());
        // A key that looks like none is learnt as a parameter.
        let sent_as_parameter = documented.security.credentials().iter().any(|credential| {
            let Credential::Key(place, name) = credential else {
                return false;
            };
            observed
                .parameters_in(*place)
                .any(|parameter| parameter.name.eq_ignore_ascii_case(name))
        });
        // A cookie or a certificate may not be visible where the traffic was taken.
        let visible = documented.security.credentials().iter().all(|credential| {
            !matches!(
                credential,
                Credential::MutualTls | Credential::Unknown(_) | Credential::Key(Place::Cookie, _)
            )
        });
        if !documented.security.is_open()
            && observed.security.is_open()
            && self.credentials_seen
            && visible
            && !sent_as_parameter
        {
            let message = "credentials are demanded, and calls without them succeeded".to_owned();
            self.found(
                Rule::MissingCredential,
                (documented, observed),
                message,
                "",
                at,
            );
        }
        // Browsers send cookies along: what is described and sent is enough.
        let known = documented.security.credentials();
        let sent = observed.security.credentials();
        let described =
            |credential: &&&Credential| known.iter().any(|other| other.is_sent_like(credential));
        if observed.security.is_open() || sent.iter().any(|credential| described(&credential)) {
            return;
        }
        for credential in sent {
            let is_parameter = documented.parameters.iter().any(|parameter| {
                credential.is_sent_like(&Credential::Key(parameter.place, parameter.name.clone()))
            });
            let authorization = matches!(credential, Credential::Http(_))
                && documented
                    .parameters_in(Place::Header)
                    .any(|parameter| parameter.name.eq_ignore_ascii_case("authorization"));
            if !is_parameter
                && !authorization
                && !known
                    .iter()
                    .any(|other| matches!(other, Credential::Unknown(_)))
            {
                let message = format!("every call carries {credential}, which is not described");
                let subject = credential.to_string();
                let rule = Rule::UndocumentedCredential;
                self.found(rule, (documented, observed), message, &subject, at);
            }
        }
    }
}

/// The description's parameter that an observed one is. `filter[status]` is `filter`, `tag[]` is `tag`.
fn described_as<'a>(parameter: &Parameter, operation: &'a Operation) -> Option<&'a Parameter> {
    let named = |name: &str| {
        let key = Parameter {
            name: name.to_owned(),
            ..parameter.clone()
        }
        .key();
        operation.parameters.iter().find(|known| known.key() == key)
    };
    named(&parameter.name).or_else(|| {
        let (base, _) = parameter.name.split_once('[')?;
        named(base).or_else(|| named(&format!("{base}[]")))
    })
}
