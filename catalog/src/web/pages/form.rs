//! What handlers of forms have in common: fields that were refused, sizes that are said.

use crate::Refusal;
use crate::web::answer::blamed;
use crate::web::views::Field;

/// Puts a refusal beside the field it blames; what no field is to blame for is returned.
pub(super) fn blame(refusal: &Refusal, fields: &mut [(&[&str], &mut Field)]) -> String {
    let (name, message) = blamed(refusal);
    for (names, field) in fields {
        if names.contains(&name) {
            field.error = message;
            return String::new();
        }
    }
    message
}

/// `50 MiB`.
pub(super) fn bytes(size: u64) -> String {
    match size {
        size if size >= 1 << 20 => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 => format!("{} KiB", size >> 10),
        size => format!("{size} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(50 << 20), "50 MiB");
        assert_eq!(bytes(2_048), "2 KiB");
        assert_eq!(bytes(12), "12 bytes");
    }
}
