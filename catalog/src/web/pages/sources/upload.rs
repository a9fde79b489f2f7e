//! Documents that are imported into a source.

use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;

use super::source::view;
use super::{HERE, one, parse};
use crate::ids::SourceId;
use crate::imports::{self, Imported, Outcome, Upload};
use crate::inventory::{BaseUrl, Join};
use crate::web::answer::{Answer, correctable, done, failed, sentence, status_of};
use crate::web::pages::form::blame;
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::sources::ImportForm;
use crate::web::views::{Field, count};

/// Bytes of a pasted document that is shown again to be corrected; a longer one is pasted again.
const SHOWN_AGAIN: usize = 1 << 20;

/// Takes a document, as a file or pasted.
pub(in crate::web::pages) async fn import(
    Path(id): Path<String>,
    Posted {
        person,
        mut fields,
        file,
        ..
    }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let back = format!("{HERE}/{id}");
    let pasted = fields.take("text");
    let mut form = ImportForm {
        name: Field::new(fields.get("name")),
        base_url: Field::new(fields.get("base_url")),
        ..ImportForm::default()
    };
    let named = form.name.value.trim().to_owned();
    let is_pasted = file.is_none();
    let (text, name) = match file {
        Some((file, contents)) => (contents, if named.is_empty() { file } else { named }),
        None if pasted.trim().is_empty() => {
            form.error = "Choose a file or paste a document.".to_owned();
            return again(&person, &id, form, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        None => (Bytes::from(pasted), named),
    };
    let shown = if is_pasted && text.len() <= SHOWN_AGAIN {
        String::from_utf8_lossy(&text).into_owned()
    } else {
        String::new()
    };
    let base_url = match form.base_url.value.trim() {
        "" => None,
        given => match BaseUrl::parse(given) {
            Ok(url) => Some(url),
            Err(error) => {
                form.base_url.error = sentence(&error.to_string());
                form.text = shown;
                return again(&person, &id, form, StatusCode::UNPROCESSABLE_ENTITY).await;
            }
        },
    };
    let upload = Upload {
        source: id.clone(),
        name,
        text: text.clone(),
        base_url,
        fetched_from: None,
        join: Join::Fitting,
        limit: person.web.document_bytes(),
    };
    let store = &person.app().store;
    match correctable(imports::document(store, &person.actor, upload, person.now).await)? {
        Ok(imported) => Ok(imported_to(&person, &back, &imported)),
        Err(refusal) => {
            let mut error = Field::default();
            let status = status_of(&refusal);
            let ImportForm { name, base_url, .. } = &mut form;
            let other = blame(
                &refusal,
                &mut [
                    (&["name"], name),
                    (&["baseUrl", "base_url"], base_url),
                    (&["text", "document", "file"], &mut error),
                ],
            );
            form.error = if other.is_empty() { error.error } else { other };
            form.excerpt = excerpt(&text, &form.error);
            form.text = shown;
            again(&person, &id, form, status).await
        }
    }
}

/// The source's page with the form as it was sent.
async fn again(person: &Person, id: &SourceId, form: ImportForm, status: StatusCode) -> Answer {
    let source = one(person, id).await?;
    view(person, source, None, form, status).await
}

/// On to the API that the document is of, with what it brought.
fn imported_to(person: &Person, back: &str, imported: &Imported) -> Response {
    let what = count(imported.operations, "operation", "operations");
    let odd = match imported.warnings.len() {
        0 => String::new(),
        some => format!(
            " It has {}; the Schema tab lists them.",
            count(some as u64, "odd place", "odd places")
        ),
    };
    let name = &imported.name;
    let api = imported
        .kept
        .as_ref()
        .map_or_else(|| back.to_owned(), |(api, _)| format!("/apis/{api}"));
    match &imported.outcome {
        Outcome::Skipped { reason } => {
            let text = format!("“{name}” is left out: {}", sentence(reason));
            failed(person, back, &text)
        }
        Outcome::Same => {
            let text = format!("“{name}” is the same as before: nothing new.");
            done(person, &api, &text)
        }
        _ => done(person, &api, &format!("“{name}” is imported: {what}.{odd}")),
    }
}

/// The lines around the one a message names: `…, line 12, …`.
fn excerpt(text: &[u8], message: &str) -> Vec<(u64, String, bool)> {
    let named = message.split_once("line ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    });
    let Some(at) = named.filter(|at| *at > 0) else {
        return Vec::new();
    };
    let from = at.saturating_sub(3).max(1);
    text.split(|byte| *byte == b'\n')
        .zip(1_u64..)
        .skip(usize::try_from(from - 1).unwrap_or(usize::MAX))
        .take(5)
        .map(|(line, number)| {
            let line: String = String::from_utf8_lossy(line).chars().take(160).collect();
            (number, line, number == at)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_is_wrong_is_shown_with_its_neighbours() {
        let text = b"a\nb\nc\nd\ne\nf\n";
        let shown = excerpt(text, "It is no YAML: line 4, column 2: odd.");
        let numbers: Vec<(u64, bool)> = shown.iter().map(|(n, _, here)| (*n, *here)).collect();
        assert_eq!(
            numbers,
            [(1, false), (2, false), (3, false), (4, true), (5, false)]
        );
        assert!(excerpt(text, "It is empty.").is_empty());
        assert!(excerpt(text, "line 99999999999999999999").is_empty());
        assert!(excerpt(text, "line 900").is_empty());
    }
}
