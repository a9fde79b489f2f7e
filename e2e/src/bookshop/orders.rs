//! Orders, the customers who placed them, and the health of the shop.
//!
//! In: requests of people who are signed in. Out: their own orders, or a problem.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::answers::{FieldError, Input, Page, Problem};
use super::auth::Person;
use super::catalogue::{Checked, query};
use super::shop::{Address, Customer, Order, OrderItem, OrderStatus, now};

/// Kept at most; the oldest leave, so that the shop does not grow while people play.
const KEPT: usize = 2000;

pub(super) async fn health(State(app): State<App>) -> Json<Value> {
    Json(json!({ "status": "ok", "books": app.shop().books.len(), "time": now() }))
}

pub(super) async fn customer(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<Customer>, Problem> {
    person.must_be(&id)?;
    app.shop()
        .customers
        .get(&id)
        .cloned()
        .map(Json)
        .ok_or_else(|| Problem::not_found("customer", id))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    page: Option<usize>,
    per_page: Option<usize>,
    since: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    person: Person,
    filter: Checked<Filter>,
) -> Result<Json<Page<Order>>, Problem> {
    let filter = query(filter)?;
    let shop = app.shop();
    let mine = shop
        .orders
        .values()
        .rev()
        .filter(|order| order.customer_id == person.id);
    let recent = mine.filter(|order| {
        filter
            .since
            .as_ref()
            .is_none_or(|since| order.created_at >= *since)
    });
    Page::of(recent.cloned().collect(), filter.page, filter.per_page).map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewOrder {
    items: Vec<NewItem>,
    ship_to: Option<Address>,
    note: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NewItem {
    isbn: String,
    quantity: u32,
}

type Created = (StatusCode, [(HeaderName, String); 1], Json<Order>);

pub(super) async fn create(
    State(app): State<App>,
    person: Person,
    Input(new): Input<NewOrder>,
) -> Result<Created, Problem> {
    if new.items.is_empty() {
        Problem::unless_valid(vec![FieldError {
            field: "items",
            message: "is empty".to_owned(),
        }])?;
    }
    let mut shop = app.shop();
    let customer = shop.customers.get(&person.id).cloned();
    let customer = customer.ok_or_else(|| Problem::not_found("customer", &person.id))?;
    let mut items = Vec::new();
    for NewItem { isbn, quantity } in new.items {
        let Some(book) = shop.books.get(&isbn) else {
            let message = format!("there is no book {isbn}");
            return Problem::unless_valid(vec![FieldError {
                field: "items",
                message,
            }])
            .and(Err(Problem::not_found("book", isbn)));
        };
        if book.about.stock < quantity {
            let detail = format!(
                "{} of {:?} are left, not {quantity}",
                book.about.stock, book.about.title
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        items.push(OrderItem {
            isbn,
            title: book.about.title.clone(),
            quantity,
            unit_price: book.about.price,
        });
    }
    let id = shop.number();
    let order = Order {
        id,
        customer_id: person.id,
        // Every third leaves the house at once, so that not every order can be cancelled.
        status: if id % 3 == 0 {
            OrderStatus::Shipped
        } else {
            OrderStatus::Placed
        },
        total: items
            .iter()
            .map(|item| f64::from(item.quantity) * item.unit_price)
            .sum(),
        items,
        ship_to: new.ship_to.unwrap_or(customer.address),
        note: new.note,
        created_at: now(),
    };
    shop.orders.insert(id, order.clone());
    if shop.orders.len() > KEPT {
        shop.orders.pop_first();
    }
    let location = format!("/api/v1/orders/{id}");
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(order),
    ))
}

fn number(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("{id:?} is no order number"),
        )
    })
}

pub(super) async fn show(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<Order>, Problem> {
    let id = number(&id)?;
    let shop = app.shop();
    let order = shop
        .orders
        .get(&id)
        .ok_or_else(|| Problem::not_found("order", id))?;
    person.must_be(&order.customer_id)?;
    Ok(Json(order.clone()))
}

pub(super) async fn cancel(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = number(&id)?;
    let mut shop = app.shop();
    let order = shop
        .orders
        .get_mut(&id)
        .ok_or_else(|| Problem::not_found("order", id))?;
    person.must_be(&order.customer_id)?;
    match order.status {
        OrderStatus::Placed => {
            order.status = OrderStatus::Cancelled;
            Ok(StatusCode::NO_CONTENT)
        }
        OrderStatus::Shipped | OrderStatus::Cancelled => Err(Problem::new(
            StatusCode::CONFLICT,
            format!("order {id} can no longer be cancelled"),
        )),
    }
}
