//! Lists: conditions, an order, a page.
//!
//! In: constant pieces of SQL and values to bind. Out: one page of rows and how many there are in all.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row as _};

use super::Store;
use crate::Refusal;

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// TEXT.
    Text(String),
    /// BIGINT.
    Number(i64),
    /// BYTEA.
    Bytes(Vec<u8>),
    /// A TEXT that is not there.
    NoText,
    /// A BIGINT that is not there.
    NoNumber,
}

impl Value {
    /// Binds it as the next parameter.
    pub fn bind(self, query: Query<'_, Any, AnyArguments>) -> Query<'_, Any, AnyArguments> {
        match self {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::NoText => query.bind(None::<String>),
            Value::NoNumber => query.bind(None::<i64>),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        text.map_or(Value::NoText, Value::Text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Number(i64::from(truth))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        number.map_or(Value::NoNumber, Value::Number)
    }
}

impl From<crate::Millis> for Value {
    fn from(at: crate::Millis) -> Value {
        Value::Number(at.0)
    }
}

/// Which page, from 1, and how many to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    number: u32,
    size: u32,
}

impl Page {
    /// The most that is given at once.
    pub const MAX_SIZE: u32 = 200;

    /// A page.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for number 0, size 0 and sizes above [`Page::MAX_SIZE`].
    pub fn new(number: u32, size: u32) -> Result<Page, Refusal> {
        if number == 0 {
            return Err(Refusal::invalid(
                "pageNumber",
                "0 is no page; the first is 1",
            ));
        }
        if size == 0 || size > Page::MAX_SIZE {
            return Err(Refusal::invalid(
                "pageSize",
                format!("{size} is not between 1 and {}", Page::MAX_SIZE),
            ));
        }
        Ok(Page { number, size })
    }

    /// From 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// At most so many.
    #[must_use]
    pub fn size(self) -> u32 {
        self.size
    }
}

impl Default for Page {
    fn default() -> Page {
        Page {
            number: 1,
            size: 50,
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOf<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
    /// Which page it is.
    pub page: Page,
}

impl<T> PageOf<T> {
    /// How many pages there are; none where there is nothing.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.total.div_ceil(u64::from(self.page.size))
    }

    /// The same page of other things.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> PageOf<U> {
        PageOf {
            items: self.items.into_iter().map(change).collect(),
            total: self.total,
            page: self.page,
        }
    }
}

/// Up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Small to large, A to Z, old to new.
    #[default]
    Ascending,
    /// The other way.
    Descending,
}

impl Direction {
    fn sql(self) -> &'static str {
        match self {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        }
    }
}

/// What rows must fulfil, all of it together.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// One more. Each `?` in the clause stands for the next of the values.
    pub fn and(
        &mut self,
        clause: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> &mut Conditions {
        self.text.push_str(if self.text.is_empty() {
            " WHERE ("
        } else {
            " AND ("
        });
        let mut number = self.values.len();
        for (at, piece) in clause.split('?').enumerate() {
            if at > 0 {
                number += 1;
                self.text.push('$');
                self.text.push_str(&number.to_string());
            }
            self.text.push_str(piece);
        }
        self.text.push(')');
        self.values.extend(values);
        debug_assert_eq!(number, self.values.len(), "{clause}");
        self
    }

    /// That a text has this word in it, without case. `column` is SQL for a lower-case text: `lower(a.name)`; the clause reads
    /// `lower(a.name) LIKE ? ESCAPE '!'`. `%` and `_` stand for themselves.
    pub fn and_like(&mut self, clause: &'static str, word: &str) -> &mut Conditions {
        let mut pattern = String::with_capacity(word.len() + 2);
        pattern.push('%');
        for c in word.to_lowercase().chars() {
            if matches!(c, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(c);
        }
        pattern.push('%');
        let values = vec![Value::Text(pattern); clause.matches('?').count()];
        self.and(clause, values)
    }
}

/// A list to take a page of. All texts are constants.
#[derive(Debug, Clone)]
pub struct Listing {
    /// `a.id, a.name`
    pub columns: &'static str,
    /// `apis a LEFT JOIN targets t ON t.id = a.target_id`
    pub from: &'static str,
    /// What rows must fulfil.
    pub conditions: Conditions,
    /// `lower(a.name)`
    pub order: &'static str,
    /// Which way.
    pub direction: Direction,
    /// What decides between equals, so that pages do not overlap: `a.id`.
    pub tie: &'static str,
}

impl Listing {
    /// One page of it.
    ///
    /// # Errors
    /// When the database says no, or `read` does.
    pub async fn page<T>(
        self,
        store: &Store,
        page: Page,
        mut read: impl FnMut(&AnyRow) -> Result<T, sqlx::Error>,
    ) -> Result<PageOf<T>, Refusal> {
        let Listing {
            columns,
            from,
            conditions,
            order,
            direction,
            tie,
        } = self;
        let wheres = &conditions.text;
        let mut query = sqlx::query(AssertSqlSafe(format!(
            "SELECT COUNT(*) FROM {from}{wheres}"
        )));
        for value in conditions.values.clone() {
            query = value.bind(query);
        }
        let total: i64 = query.fetch_one(store.pool()).await?.try_get(0)?;
        let total = u64::try_from(total).unwrap_or(0);
        let skip = u64::from(page.number - 1) * u64::from(page.size);
        let mut items = Vec::new();
        if skip < total {
            let way = direction.sql();
            let (limit, number) = (page.size, conditions.values.len());
            let mut query = sqlx::query(AssertSqlSafe(format!(
                "SELECT {columns} FROM {from}{wheres} ORDER BY {order} {way}, {tie} {way} LIMIT ${} OFFSET ${}",
                number + 1,
                number + 2
            )));
            for value in conditions.values {
                query = value.bind(query);
            }
            query = query
                .bind(i64::from(limit))
                .bind(i64::try_from(skip).unwrap_or(i64::MAX));
            for row in query.fetch_all(store.pool()).await? {
                items.push(read(&row)?);
            }
        }
        Ok(PageOf { items, total, page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_through() {
        let mut conditions = Conditions::default();
        conditions.and("a = ?", ["x".into()]).and_like(
            "lower(b) LIKE ? ESCAPE '!' OR lower(c) LIKE ? ESCAPE '!'",
            "50%_Off!",
        );
        assert_eq!(
            conditions.text,
            " WHERE (a = $1) AND (lower(b) LIKE $2 ESCAPE '!' OR lower(c) LIKE $3 ESCAPE '!')"
        );
        assert_eq!(
            conditions.values.last(),
            Some(&Value::Text("%50!%!_off!!%".to_owned()))
        );
    }

    #[test]
    fn pages_have_bounds() {
        for (number, size) in [(0, 10), (1, 0), (1, 201)] {
            assert!(matches!(
                Page::new(number, size),
                Err(Refusal::Invalid { .. })
            ));
        }
    }
}
