//! From columns to types: ids, times and counts as the tables keep them.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::base_url::{BaseUrl, BaseUrlError};
use crate::Millis;
use crate::ids::IdError;

/// An id that was stored.
pub(crate) fn id<T>(
    row: &AnyRow,
    column: &str,
    parse: fn(&str) -> Result<T, IdError>,
) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    parse(&text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// An id that may be missing.
pub(crate) fn maybe_id<T>(
    row: &AnyRow,
    column: &str,
    parse: fn(&str) -> Result<T, IdError>,
) -> Result<Option<T>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    let parsed = text.map(|text| parse(&text)).transpose();
    parsed.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// A text.
pub(crate) fn text(row: &AnyRow, column: &str) -> Result<String, sqlx::Error> {
    row.try_get(column)
}

/// A time.
pub(crate) fn time(row: &AnyRow, column: &str) -> Result<Millis, sqlx::Error> {
    row.try_get(column).map(Millis)
}

/// A time that may be missing.
pub(crate) fn maybe_time(row: &AnyRow, column: &str) -> Result<Option<Millis>, sqlx::Error> {
    let at: Option<i64> = row.try_get(column)?;
    Ok(at.map(Millis))
}

/// A count.
pub(crate) fn count(row: &AnyRow, column: &str) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// A count that may be missing.
pub(crate) fn maybe_count(row: &AnyRow, column: &str) -> Result<Option<u64>, sqlx::Error> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
}

/// A base URL.
pub(crate) fn base_url(row: &AnyRow, column: &str) -> Result<BaseUrl, sqlx::Error> {
    let url: String = row.try_get(column)?;
    BaseUrl::parse(&url).map_err(|error: BaseUrlError| sqlx::Error::Decode(Box::new(error)))
}

/// A count as it is stored.
pub(crate) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
