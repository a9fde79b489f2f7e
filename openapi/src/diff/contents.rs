//! Bodies, responses and their headers, before and after.
//!
//! In: two operations. Out: findings, and pairs of schemas to compare. A status that only a range (`4XX`) or `default` has is
//! that range's or default's; a media type that only a range (`text/*`) has is that range's.

use std::collections::BTreeMap;

use super::Differ;
use super::shapes::Direction;
use crate::description::{Content, Operation, Response};
use crate::rule::Rule;

impl<'a> Differ<'a> {
    pub(super) fn body(&mut self, old: &'a Operation, new: &'a Operation) {
        let (before, after) = match (&old.body, &new.body) {
            (None, None) => return,
            (None, Some(body)) => {
                let (rule, message) = if body.required {
                    (Rule::RequiredBodyAdded, "a request body must be sent")
                } else {
                    (Rule::BodyAdded, "a request body may be sent")
                };
                self.found(
                    rule,
                    new,
                    message.into(),
                    "body",
                    (&old.pointer, &body.pointer),
                );
                return;
            }
            (Some(body), None) => {
                let message = "a request body is no longer taken".into();
                self.found(
                    Rule::BodyRemoved,
                    new,
                    message,
                    "body",
                    (&body.pointer, &new.pointer),
                );
                return;
            }
            (Some(before), Some(after)) => (before, after),
        };
        let at = (before.pointer.as_str(), after.pointer.as_str());
        if after.required && !before.required {
            let message = "the request body must now be sent".into();
            self.found(Rule::BodyBecameRequired, new, message, "body", at);
        }
        if before.required && !after.required {
            let message = "the request body may now be left out".into();
            self.found(Rule::BodyBecameOptional, new, message, "body", at);
        }
        let rules = (Rule::RequestMediaTypeRemoved, Rule::RequestMediaTypeAdded);
        let contents = (&before.content, &after.content);
        self.content(
            contents,
            Direction::Request,
            rules,
            new,
            "the request body",
            at,
        );
    }

    pub(super) fn responses(&mut self, old: &'a Operation, new: &'a Operation) {
        for before in &old.responses {
            match covering(&before.status, &new.responses) {
                Some(after) => self.response(before, after, new),
                None => {
                    let (rule, message) = if before.is_success() {
                        let message = format!("status {} no longer comes", before.status);
                        (Rule::SuccessRemoved, message)
                    } else {
                        let message = format!("status {} no longer comes", before.status);
                        (Rule::ErrorRemoved, message)
                    };
                    let at = (before.pointer.as_str(), new.pointer.as_str());
                    self.found(rule, new, message, &before.status, at);
                }
            }
        }
        for after in &new.responses {
            if covering(&after.status, &old.responses).is_none() {
                let message = format!("status {} is new", after.status);
                let rule = if after.is_success() {
                    Rule::SuccessAdded
                } else {
                    Rule::ErrorAdded
                };
                let at = (old.pointer.as_str(), after.pointer.as_str());
                self.found(rule, new, message, &after.status, at);
            }
        }
    }

    fn response(&mut self, old: &'a Response, new: &'a Response, operation: &Operation) {
        let name = format!("the response {}", new.status);
        let at = (old.pointer.as_str(), new.pointer.as_str());
        let rules = (Rule::ResponseMediaTypeRemoved, Rule::ResponseMediaTypeAdded);
        let contents = (&old.content, &new.content);
        self.content(contents, Direction::Response, rules, operation, &name, at);
        let mut before: BTreeMap<String, _> = old
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), header))
            .collect();
        for after in &new.headers {
            let subject = format!("{} {}", new.status, after.name.to_ascii_lowercase());
            match before.remove(&after.name.to_ascii_lowercase()) {
                None => {
                    let message = format!("header `{}` of {name} is new", after.name);
                    let at = (old.pointer.as_str(), after.pointer.as_str());
                    self.found(Rule::HeaderAdded, operation, message, &subject, at);
                }
                Some(before) => {
                    if before.required && !after.required {
                        let message = format!("header `{}` of {name} may be missing", after.name);
                        let at = (before.pointer.as_str(), after.pointer.as_str());
                        self.found(Rule::HeaderBecameOptional, operation, message, &subject, at);
                    }
                    if let (Some(before), Some(schema)) = (before.schema, after.schema) {
                        let context = format!("header `{}` of {name}", after.name);
                        let number = self.number(operation);
                        self.shapes
                            .compare(before, schema, Direction::Response, number, context);
                    }
                }
            }
        }
        for (lower, gone) in before {
            let rule = if gone.required {
                Rule::RequiredHeaderRemoved
            } else {
                Rule::HeaderRemoved
            };
            let message = format!("header `{}` of {name} is gone", gone.name);
            let subject = format!("{} {lower}", old.status);
            self.found(
                rule,
                operation,
                message,
                &subject,
                (&gone.pointer, &new.pointer),
            );
        }
    }

    fn content(
        &mut self,
        (old, new): (&'a BTreeMap<String, Content>, &'a BTreeMap<String, Content>),
        direction: Direction,
        (removed, added): (Rule, Rule),
        operation: &Operation,
        name: &str,
        at: (&str, &str),
    ) {
        for (media, before) in old {
            let Some((_, after)) = media_of(new, media) else {
                let message = match direction {
                    Direction::Request => format!("{name} is no longer taken as {media}"),
                    Direction::Response if new.is_empty() => {
                        format!("{name} no longer has a body ({media})")
                    }
                    Direction::Response => format!("{name} no longer comes as {media}"),
                };
                let subject = format!("{name} {media}");
                self.found(
                    removed,
                    operation,
                    message,
                    &subject,
                    (&before.pointer, at.1),
                );
                continue;
            };
            if let (Some(before), Some(after)) = (before.schema, after.schema) {
                let context = if new.len() > 1 {
                    format!("{name} ({media})")
                } else {
                    name.to_owned()
                };
                let number = self.number(operation);
                self.shapes
                    .compare(before, after, direction, number, context);
            }
        }
        for (media, after) in new {
            if media_of(old, media).is_none() {
                let message = match direction {
                    Direction::Request => format!("{name} is also taken as {media}"),
                    Direction::Response => format!("{name} also comes as {media}"),
                };
                let subject = format!("{name} {media}");
                self.found(added, operation, message, &subject, (at.0, &after.pointer));
            }
        }
    }
}

/// The content of a media type, or of the range it is in (RFC 9110, 12.5.1).
pub(crate) fn media_of<'a>(
    content: &'a BTreeMap<String, Content>,
    media: &str,
) -> Option<(&'a String, &'a Content)> {
    let range = media.split('/').next().map(|kind| format!("{kind}/*"));
    content
        .get_key_value(media)
        .or_else(|| content.get_key_value(&range?))
        .or_else(|| content.get_key_value("*/*"))
}

/// The response that speaks of a status: its own, its range, or `default`. `default` speaks of successes only where nothing else
/// does: mostly it is the error.
pub(crate) fn covering<'a>(status: &str, responses: &'a [Response]) -> Option<&'a Response> {
    let named = |name: &str| responses.iter().find(|response| response.status == name);
    let range = status.get(..1).map(|first| format!("{first}XX"));
    named(status).or_else(|| named(&range?)).or_else(|| {
        let success = status.starts_with(['1', '2', '3']);
        if success && responses.iter().any(Response::is_success) {
            return None;
        }
        named("default")
    })
}
