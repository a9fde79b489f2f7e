//! What the bookshop has: books, authors, reviews, customers, orders.
//!
//! In: changes. Out: the things themselves, in the shape in which they are answered. Holds no connection and no clock but
//! the system's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A book as it is sold.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Book {
    pub(super) isbn: String,
    #[serde(flatten)]
    pub(super) about: BookInput,
    pub(super) rating: Option<f64>,
    pub(super) cover_url: Option<String>,
    pub(super) created_at: String,
}

/// What staff say about a book.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BookInput {
    pub(super) title: String,
    pub(super) author: String,
    pub(super) genre: Genre,
    pub(super) price: f64,
    pub(super) stock: u32,
    pub(super) pages: u32,
    pub(super) published_on: String,
    #[serde(default)]
    pub(super) series: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dimensions: Option<Dimensions>,
}

/// In millimetres.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dimensions {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) depth: u32,
}

/// A closed vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Genre {
    Novel,
    Poetry,
    Science,
    History,
    Children,
}

impl Genre {
    const ALL: [Genre; 5] = [
        Genre::Novel,
        Genre::Poetry,
        Genre::Science,
        Genre::History,
        Genre::Children,
    ];
}

/// Who wrote books.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Author {
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) born: Option<u32>,
    pub(super) homepage: String,
}

/// What somebody thinks of a book.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    pub(super) id: u64,
    pub(super) stars: u8,
    pub(super) text: String,
    pub(super) by: String,
    pub(super) created_at: String,
}

/// Who buys.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Customer {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) address: Address,
    pub(super) newsletter: bool,
    pub(super) created_at: String,
    #[serde(skip)]
    pub(super) password: String,
}

/// What one may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Customer,
    Staff,
}

/// Where to send to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address {
    pub(super) street: String,
    pub(super) city: String,
    pub(super) postal_code: String,
    pub(super) country: String,
}

/// What was bought.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) customer_id: String,
    pub(super) status: OrderStatus,
    pub(super) items: Vec<OrderItem>,
    pub(super) total: f64,
    pub(super) ship_to: Address,
    pub(super) note: Option<String>,
    pub(super) created_at: String,
}

/// A line of an order.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderItem {
    pub(super) isbn: String,
    pub(super) title: String,
    pub(super) quantity: u32,
    pub(super) unit_price: f64,
}

/// A closed vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OrderStatus {
    Placed,
    Shipped,
    Cancelled,
}

/// Everything there is.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) books: BTreeMap<String, Book>,
    pub(super) authors: BTreeMap<String, Author>,
    pub(super) reviews: BTreeMap<String, Vec<Review>>,
    pub(super) customers: BTreeMap<String, Customer>,
    pub(super) orders: BTreeMap<u64, Order>,
    next_number: u64,
}

const AUTHORS: [(&str, Option<u32>); 24] = [
    ("Ursula K. Le Guin", Some(1929)),
    ("Jane Austen", Some(1775)),
    ("Jorge Luis Borges", Some(1899)),
    ("Toni Morrison", Some(1931)),
    ("Italo Calvino", Some(1923)),
    ("Chinua Achebe", Some(1930)),
    ("Clarice Lispector", Some(1920)),
    ("Fyodor Dostoevsky", Some(1821)),
    ("Virginia Woolf", Some(1882)),
    ("Haruki Murakami", Some(1949)),
    ("Mary Shelley", Some(1797)),
    ("James Baldwin", Some(1924)),
    ("Astrid Lindgren", Some(1907)),
    ("Stanislaw Lem", Some(1921)),
    ("Octavia E. Butler", Some(1947)),
    ("Gabriel Garcia Marquez", Some(1927)),
    ("Elena Ferrante", None),
    ("Primo Levi", Some(1919)),
    ("Wislawa Szymborska", Some(1923)),
    ("Carl Sagan", Some(1934)),
    ("Rachel Carson", Some(1907)),
    ("Barbara Tuchman", Some(1912)),
    ("Michael Ende", Some(1929)),
    ("Sei Shonagon", None),
];

const NOUNS: [&str; 12] = [
    "River",
    "Garden",
    "Lighthouse",
    "Winter",
    "Letter",
    "Island",
    "Clock",
    "Forest",
    "Mirror",
    "Road",
    "Sea",
    "Map",
];
const ADJECTIVES: [&str; 8] = [
    "Silent",
    "Last",
    "Invisible",
    "Burning",
    "Little",
    "Long",
    "Lost",
    "Second",
];

impl Shop {
    /// A shop with 96 books by 24 authors, 40 customers, and a few orders and reviews. The same at every start.
    pub(super) fn stocked() -> Shop {
        let mut random = fastrand::Rng::with_seed(1);
        let mut shop = Shop {
            books: BTreeMap::new(),
            authors: BTreeMap::new(),
            reviews: BTreeMap::new(),
            customers: BTreeMap::new(),
            orders: BTreeMap::new(),
            next_number: 1000,
        };
        for (name, born) in AUTHORS {
            let slug = slug(name);
            let homepage = format!("https://authors.example/{slug}");
            shop.authors.insert(
                slug.clone(),
                Author {
                    slug,
                    name: name.to_owned(),
                    born,
                    homepage,
                },
            );
        }
        let slugs: Vec<String> = shop.authors.keys().cloned().collect();
        for n in 0..96u32 {
            let (noun, adjective) = (
                random.choice(NOUNS).unwrap_or("Book"),
                random.choice(ADJECTIVES).unwrap_or("New"),
            );
            let about = BookInput {
                title: format!("The {adjective} {noun}"),
                author: random.choice(&slugs).cloned().unwrap_or_default(),
                genre: random.choice(Genre::ALL).unwrap_or(Genre::Novel),
                price: f64::from(random.u32(499..4999)) / 100.0,
                stock: random.u32(0..40),
                pages: random.u32(60..900),
                published_on: format!(
                    "{}-{:02}-{:02}",
                    random.u32(1950..2025),
                    random.u32(1..13),
                    random.u32(1..29)
                ),
                series: random.bool().then(|| format!("{noun} stories")),
                tags: ["classic", "gift", "signed", "translated"]
                    .into_iter()
                    .filter(|_| random.bool())
                    .map(str::to_owned)
                    .collect(),
                dimensions: random.bool().then(|| Dimensions {
                    width: random.u32(100..220),
                    height: random.u32(150..320),
                    depth: random.u32(5..60),
                }),
            };
            let rating = random.bool().then(|| f64::from(random.u32(10..51)) / 10.0);
            let isbn = isbn(u64::from(n) * 7919 + 3);
            shop.books.insert(
                isbn.clone(),
                Book {
                    isbn,
                    about,
                    rating,
                    cover_url: None,
                    created_at: now(),
                },
            );
        }
        let people = [
            (super::CUSTOMER, "Ada Lovelace", Role::Customer),
            (super::STAFF, "Grace Hopper", Role::Staff),
        ];
        for ((email, password), name, role) in people {
            shop.add_customer(&mut random, email, password, name, role);
        }
        for n in 0..38 {
            let name = format!("Reader {n}");
            shop.add_customer(
                &mut random,
                &format!("reader{n}@example.com"),
                super::CUSTOMER.1,
                &name,
                Role::Customer,
            );
        }
        shop
    }

    fn add_customer(
        &mut self,
        random: &mut fastrand::Rng,
        email: &str,
        password: &str,
        name: &str,
        role: Role,
    ) {
        let id = uuid(random);
        let customer = Customer {
            id: id.clone(),
            email: email.to_owned(),
            name: name.to_owned(),
            role,
            address: Address {
                street: format!("{} Mill Lane", random.u32(1..200)),
                city: ["Porto", "Leeds", "Graz", "Turku"]
                    .get(random.usize(0..4))
                    .unwrap_or(&"Porto")
                    .to_string(),
                postal_code: format!("{:05}", random.u32(10_000..99_999)),
                country: ["PT", "GB", "AT", "FI"]
                    .get(random.usize(0..4))
                    .unwrap_or(&"PT")
                    .to_string(),
            },
            newsletter: random.bool(),
            created_at: now(),
            password: password.to_owned(),
        };
        self.customers.insert(id, customer);
    }

    /// The next order's or review's number.
    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

/// The time, RFC 3339 with milliseconds at most.
pub(super) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let whole = now.replace_millisecond(now.millisecond()).unwrap_or(now);
    whole.format(&Rfc3339).unwrap_or_default()
}

/// "Ursula K. Le Guin" → "ursula-k-le-guin"
fn slug(name: &str) -> String {
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join("-")
}

/// A valid ISBN-13: 978, nine digits, check digit.
pub(crate) fn isbn(n: u64) -> String {
    let body = format!("978{:09}", n % 1_000_000_000);
    let sum: u32 = body
        .chars()
        .filter_map(|c| c.to_digit(10))
        .zip([1, 3].into_iter().cycle())
        .map(|(d, weight)| d * weight)
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// Is it thirteen digits with the right check digit?
pub(super) fn is_isbn(text: &str) -> bool {
    text.strip_prefix("978")
        .and_then(|rest| rest.get(..9))
        .and_then(|nine| nine.parse().ok())
        .is_some_and(|n| isbn(n) == text)
}

/// A random UUID (RFC 9562, version 4).
pub(super) fn uuid(random: &mut fastrand::Rng) -> String {
    let n = random.u128(..) & !(0xf000 << 64) & !(0xc000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{n:032x}");
    let part = |a: usize, b: usize| hex.get(a..b).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isbns_check() {
        assert!(is_isbn("9780141439518"));
        assert!(!is_isbn("9780141439519"));
        assert!(!is_isbn("978"));
        assert_eq!(Shop::stocked().books.len(), 96);
        assert!(Shop::stocked().books.keys().all(|key| is_isbn(key)));
    }

    #[test]
    fn uuids_are_version_4() {
        let id = uuid(&mut fastrand::Rng::with_seed(1));
        assert_eq!((id.len(), id.get(14..15)), (36, Some("4")), "{id}");
    }
}
