//! Books, their reviews and covers, authors and the search.
//!
//! In: requests about the catalogue. Out: what is known, or a problem. Only staff change it.

use axum::Json;
use axum::extract::{Multipart, Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::answers::{FieldError, Input, Page, Problem};
use super::auth::Person;
use super::shop::{Author, Book, BookInput, Genre, Review, is_isbn, now};

type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    page: Option<usize>,
    per_page: Option<usize>,
    genre: Option<Genre>,
    author: Option<String>,
    in_stock: Option<bool>,
    min_price: Option<f64>,
    sort: Option<Sort>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Sort {
    #[serde(rename = "title")]
    Title,
    #[serde(rename = "price")]
    Price,
    #[serde(rename = "-price")]
    PriceDown,
    #[serde(rename = "publishedOn")]
    Published,
}

/// A query that is not understood is 400 with the reason, as a problem.
pub(super) type Checked<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

pub(super) fn query<T>(checked: Checked<T>) -> Result<T, Problem> {
    checked
        .map(|Query(value)| value)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))
}

pub(super) async fn list(
    State(app): State<App>,
    filter: Checked<Filter>,
) -> Result<Json<Page<Book>>, Problem> {
    let filter = query(filter)?;
    let mut books: Vec<Book> = app
        .shop()
        .books
        .values()
        .filter(|book| filter.genre.is_none_or(|genre| book.about.genre == genre))
        .filter(|book| {
            filter
                .author
                .as_ref()
                .is_none_or(|author| book.about.author == *author)
        })
        .filter(|book| {
            filter
                .in_stock
                .is_none_or(|yes| (book.about.stock > 0) == yes)
        })
        .filter(|book| {
            filter
                .min_price
                .is_none_or(|least| book.about.price >= least)
        })
        .cloned()
        .collect();
    match filter.sort {
        Some(Sort::Title) => books.sort_by(|a, b| a.about.title.cmp(&b.about.title)),
        Some(Sort::Price) => books.sort_by(|a, b| a.about.price.total_cmp(&b.about.price)),
        Some(Sort::PriceDown) => books.sort_by(|a, b| b.about.price.total_cmp(&a.about.price)),
        Some(Sort::Published) => {
            books.sort_by(|a, b| a.about.published_on.cmp(&b.about.published_on))
        }
        None => {}
    }
    Page::of(books, filter.page, filter.per_page).map(Json)
}

pub(super) async fn bestsellers(State(app): State<App>) -> Json<Value> {
    let mut books: Vec<Book> = app.shop().books.values().cloned().collect();
    books.sort_by_key(|book| book.about.stock);
    let top = books.iter().take(10).enumerate();
    let items: Vec<Value> = top
        .map(|(n, book)| json!({ "rank": n + 1, "isbn": book.isbn, "title": book.about.title }))
        .collect();
    Json(json!({ "week": "2026-W47", "items": items }))
}

fn valid(about: &BookInput) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if about.title.trim().is_empty() {
        errors.push(FieldError {
            field: "title",
            message: "is empty".to_owned(),
        });
    }
    if !(about.price > 0.0 && about.price < 10_000.0) {
        errors.push(FieldError {
            field: "price",
            message: format!("{} is not between 0 and 10000", about.price),
        });
    }
    Problem::unless_valid(errors)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewBook {
    isbn: String,
    #[serde(flatten)]
    about: BookInputOpen,
}

/// `flatten` and `deny_unknown_fields` exclude each other.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct BookInputOpen(Value);

pub(super) async fn create(
    State(app): State<App>,
    person: Person,
    Input(new): Input<NewBook>,
) -> Result<Created<Book>, Problem> {
    person.must_be_staff()?;
    let about: BookInput = serde_json::from_value(new.about.0)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    valid(&about)?;
    if !is_isbn(&new.isbn) {
        let message = format!("{:?} is no ISBN-13", new.isbn);
        Problem::unless_valid(vec![FieldError {
            field: "isbn",
            message,
        }])?;
    }
    let mut shop = app.shop();
    if shop.books.contains_key(&new.isbn) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            format!("there is a book {} already", new.isbn),
        ));
    }
    let book = Book {
        isbn: new.isbn.clone(),
        about,
        rating: None,
        cover_url: None,
        created_at: now(),
    };
    shop.books.insert(new.isbn.clone(), book.clone());
    let location = format!("/api/v1/books/{}", new.isbn);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(book),
    ))
}

pub(super) async fn show(
    State(app): State<App>,
    Path(isbn): Path<String>,
) -> Result<Json<Book>, Problem> {
    app.shop()
        .books
        .get(&isbn)
        .cloned()
        .map(Json)
        .ok_or_else(|| Problem::not_found("book", isbn))
}

pub(super) async fn replace(
    State(app): State<App>,
    person: Person,
    Path(isbn): Path<String>,
    Input(about): Input<BookInput>,
) -> Result<Json<Book>, Problem> {
    person.must_be_staff()?;
    valid(&about)?;
    let mut shop = app.shop();
    let book = shop
        .books
        .get_mut(&isbn)
        .ok_or_else(|| Problem::not_found("book", isbn))?;
    book.about = about;
    Ok(Json(book.clone()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    price: Option<f64>,
    stock: Option<u32>,
}

pub(super) async fn change(
    State(app): State<App>,
    person: Person,
    Path(isbn): Path<String>,
    Input(change): Input<Change>,
) -> Result<Json<Book>, Problem> {
    person.must_be_staff()?;
    let mut shop = app.shop();
    let book = shop
        .books
        .get_mut(&isbn)
        .ok_or_else(|| Problem::not_found("book", isbn))?;
    let mut about = book.about.clone();
    about.price = change.price.unwrap_or(about.price);
    about.stock = change.stock.unwrap_or(about.stock);
    valid(&about)?;
    book.about = about;
    Ok(Json(book.clone()))
}

pub(super) async fn remove(
    State(app): State<App>,
    person: Person,
    Path(isbn): Path<String>,
) -> Result<StatusCode, Problem> {
    person.must_be_staff()?;
    match app.shop().books.remove(&isbn) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Problem::not_found("book", isbn)),
    }
}

pub(super) async fn reviews(
    State(app): State<App>,
    Path(isbn): Path<String>,
) -> Result<Json<Vec<Review>>, Problem> {
    let shop = app.shop();
    if !shop.books.contains_key(&isbn) {
        return Err(Problem::not_found("book", isbn));
    }
    Ok(Json(shop.reviews.get(&isbn).cloned().unwrap_or_default()))
}

#[derive(Debug, Deserialize)]
pub(super) struct NewReview {
    stars: u8,
    text: String,
}

pub(super) async fn review(
    State(app): State<App>,
    person: Person,
    Path(isbn): Path<String>,
    Input(new): Input<NewReview>,
) -> Result<(StatusCode, Json<Review>), Problem> {
    if !(1..=5).contains(&new.stars) {
        let message = format!("{} is not between 1 and 5", new.stars);
        Problem::unless_valid(vec![FieldError {
            field: "stars",
            message,
        }])?;
    }
    let mut shop = app.shop();
    if !shop.books.contains_key(&isbn) {
        return Err(Problem::not_found("book", isbn));
    }
    let by = shop
        .customers
        .get(&person.id)
        .map(|c| c.name.clone())
        .unwrap_or_default();
    let review = Review {
        id: shop.number(),
        stars: new.stars,
        text: new.text,
        by,
        created_at: now(),
    };
    let reviews = shop.reviews.entry(isbn).or_default();
    // The newest thirty are kept: the shop must not grow while people play.
    if reviews.len() >= 30 {
        reviews.remove(0);
    }
    reviews.push(review.clone());
    Ok((StatusCode::CREATED, Json(review)))
}

pub(super) async fn cover(
    State(app): State<App>,
    person: Person,
    Path(isbn): Path<String>,
    mut form: Multipart,
) -> Result<(StatusCode, Json<Value>), Problem> {
    person.must_be_staff()?;
    let malformed = |error: axum::extract::multipart::MultipartError| {
        Problem::new(error.status(), error.body_text())
    };
    let (mut file, mut alt) = (None, None);
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        match field.name() {
            Some("file") => {
                let kind = field.content_type().unwrap_or_default().to_owned();
                file = Some((kind, field.bytes().await.map_err(malformed)?.len()));
            }
            Some("alt") => alt = Some(field.text().await.map_err(malformed)?),
            _ => {}
        }
    }
    let Some((kind, size)) = file else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the form has no part `file`",
        ));
    };
    if !kind.starts_with("image/") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("{kind:?} is no image"),
        ));
    }
    let mut shop = app.shop();
    let book = shop
        .books
        .get_mut(&isbn)
        .ok_or_else(|| Problem::not_found("book", &isbn))?;
    let url = format!("https://covers.example/{isbn}");
    book.cover_url = Some(url.clone());
    Ok((
        StatusCode::CREATED,
        Json(json!({ "url": url, "contentType": kind, "size": size, "alt": alt })),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Paging {
    page: Option<usize>,
    per_page: Option<usize>,
}

pub(super) async fn authors(
    State(app): State<App>,
    paging: Checked<Paging>,
) -> Result<Json<Page<Author>>, Problem> {
    let paging = query(paging)?;
    Page::of(
        app.shop().authors.values().cloned().collect(),
        paging.page,
        paging.per_page,
    )
    .map(Json)
}

pub(super) async fn author(
    State(app): State<App>,
    Path(slug): Path<String>,
) -> Result<Json<Author>, Problem> {
    app.shop()
        .authors
        .get(&slug)
        .cloned()
        .map(Json)
        .ok_or_else(|| Problem::not_found("author", slug))
}

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    q: String,
    limit: Option<usize>,
}

pub(super) async fn search(
    State(app): State<App>,
    search: Checked<Search>,
) -> Result<Json<Value>, Problem> {
    let search = query(search)?;
    let needle = search.q.to_lowercase();
    if needle.trim().is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "q is empty"));
    }
    let shop = app.shop();
    let hits = shop
        .books
        .values()
        .filter(|book| book.about.title.to_lowercase().contains(&needle));
    let hits: Vec<Value> = hits
        .take(search.limit.unwrap_or(10).min(50))
        .map(|book| json!({ "kind": "book", "isbn": book.isbn, "title": book.about.title, "score": 1.0 / f64::from(book.about.pages) }))
        .collect();
    Ok(Json(
        json!({ "query": search.q, "count": hits.len(), "hits": hits }),
    ))
}
