//! Every kind of refusal: its name, its status, and what it means wherever it occurs.
//!
//! In: nothing. Out: one table, which the REST API refuses by, the documentation has, and the page of each kind shows. Nothing is
//! refused by a kind that is not in it.

/// A kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The last word of its `type`: `invalid-field`
    pub name: &'static str,
    /// 422
    pub status: u16,
    /// `A field cannot be taken`
    pub title: &'static str,
    /// When it comes and what to do. Names are `in code`.
    pub meaning: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $text:literal, $status:literal, $title:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning]
        pub const $name: Kind = Kind { name: $text, status: $status, title: $title, meaning: $meaning };)*

        /// All, by status.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    INVALID_PARAMETER = "invalid-parameter", 400, "A parameter cannot be taken",
        "A parameter of the query, the path or the head has a value that cannot be taken, or is not known. `field` names it.";
    MALFORMED_BODY = "malformed-body", 400, "The body cannot be read",
        "The body is missing, is no JSON, or is no form with files. `detail` says where.";
    BAD_REQUEST = "bad-request", 400, "The request cannot be served",
        "The request is not understood. `detail` says what there is to say.";
    UNAUTHENTICATED = "unauthenticated", 401, "A valid key is needed",
        "`X-Auth` is missing, or its key is unknown, expired or revoked.";
    TOKEN_UNKNOWN = "token-unknown", 401, "The collector is not let in",
        "A collector registers with a registration token that is not known or was revoked. Make a new one at the source.";
    TOKEN_EXPIRED = "token-expired", 401, "The collector is not let in",
        "A collector registers with a registration token that is too old. Make a new one at the source.";
    CREDENTIAL_UNKNOWN = "credential-unknown", 401, "The collector is not let in",
        "The collector's credential is missing or not known: it was taken off its source. Register it again with a new token.";
    CREDENTIAL_REVOKED = "credential-revoked", 401, "The collector is not let in",
        "The collector's credential was replaced or revoked. If it is still used, somebody may have copied it: look into the audit log, and register the collector again with a new token.";
    FORBIDDEN = "forbidden", 403, "Not allowed",
        "The role lacks a permission, which `detail` names, or nobody may do this (demote the last owner).";
    NOT_FOUND = "not-found", 404, "Not found",
        "There is no such thing in this organisation, or no such path.";
    HOST_UNKNOWN = "host-unknown", 404, "The host is not known",
        "A collector reports what was seen at a host of which no revision was kept yet. Push a revision first.";
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The method is not allowed",
        "The path exists; `Allow` says for which methods.";
    TIMEOUT = "timeout", 408, "It took too long",
        "The body took too long to come, or the answer to be made; or the body came slowly while others were waiting. Send it again.";
    ALREADY_MEMBER = "already-member", 409, "Something stands in the way",
        "The user is in this organisation already.";
    NAME_ELSEWHERE = "name-elsewhere", 409, "Something stands in the way",
        "The source has a document of this name that stands on another server. Give another name, or say `baseUrl` if the API has moved.";
    NAME_TAKEN = "name-taken", 409, "Something stands in the way",
        "Something of this kind has this name.";
    NO_COLLECTOR = "no-collector", 409, "Something stands in the way",
        "No collector is registered that could sync.";
    NO_COLLECTORS = "no-collectors", 409, "Something stands in the way",
        "No collector forwards to a source of this kind.";
    NOT_UNDER_TARGET = "not-under-target", 409, "Something stands in the way",
        "The base URL of an API does not lie under the target's URL. `errors` names each such API with the reason; nothing was changed. Make a target that covers it.";
    NOTHING_TO_SYNC = "nothing-to-sync", 409, "Something stands in the way",
        "Documents are uploaded to this source by people.";
    ONLY_DEFINITION = "only-definition", 409, "Something stands in the way",
        "The definition is alone in its API already.";
    ROLE_IN_USE = "role-in-use", 409, "Something stands in the way",
        "Users have this role.";
    SEQUENCE_CONFLICT = "sequence-conflict", 409, "The number is taken",
        "A collector pushes a revision under a number that was used for something else or is not above the latest. Continue above `latest`.";
    SOURCE_KIND = "source-kind", 409, "Something stands in the way",
        "This source takes no documents.";
    TARGET_LINKED = "target-linked", 409, "Something stands in the way",
        "APIs are linked to this target. Unlink them, or delete it with `unlink=true`.";
    TOKEN_USED = "token-used", 409, "The token was used",
        "Another collector has registered with this registration token: each is for one. Make a new one at the source.";
    TOO_MANY = "too-many", 409, "Something stands in the way",
        "There are as many as there can be.";
    URL_TAKEN = "url-taken", 409, "Something stands in the way",
        "There is a target with this URL.";
    TOO_LARGE = "too-large", 413, "Too large",
        "The body or the document in it is larger than what is taken.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "The media type is not taken",
        "`Content-Type` is missing or is none that this operation takes, or `Content-Encoding` is not known.";
    INVALID_FIELD = "invalid-field", 422, "A field cannot be taken",
        "The body can be read, but a field of it is missing, not known, or has a value that cannot be taken. `field` names it.";
    TOO_MANY_REQUESTS = "too-many-requests", 429, "Too many attempts",
        "Too many unknown keys came from this address. `Retry-After` says for how long to wait.";
    INTERNAL = "internal", 500, "Something went wrong inside",
        "Our own fault. The log has the reason under the correlation id.";
    BUSY = "busy", 503, "Too much at once",
        "So many large bodies are being taken at once that there is no memory for another one. `Retry-After` says for how long to wait.";
}

/// The kind of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_there_once_and_by_status() {
        for pair in KINDS.windows(2) {
            assert!(pair[0].status <= pair[1].status, "{pair:?}");
        }
        for kind in KINDS {
            let same = KINDS.iter().filter(|other| other.name == kind.name);
            assert_eq!(same.count(), 1, "{}", kind.name);
            assert_eq!(named(kind.name), Some(kind));
            assert!(kind.meaning.ends_with('.'), "{}", kind.meaning);
        }
    }
}
