//! Protobuf wire format, as little of it as `telemetry.v1` needs, appended to a byte vector.
//!
//! Written by hand so that headers can be encoded as they arrive and nothing is built twice; a test decodes the result
//! with the generated bindings. See <https://protobuf.dev/programming-guides/encoding/>.

/// Bytes a varint takes.
pub(crate) const fn varint_len(value: u64) -> usize {
    // 1 + floor(log2(value) / 7), without a branch; the constant is the usual approximation of 1/7.
    ((63 - (value | 1).leading_zeros()) as usize * 9 + 73) / 64
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x80 => out.push(value as u8),
        0x80..0x4000 => out.extend_from_slice(&[value as u8 | 0x80, (value >> 7) as u8]),
        _ => put_long_varint(out, value),
    }
}

fn put_long_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// All fields of `telemetry.v1` have numbers below 16, so that a tag is one byte.
#[inline]
fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    debug_assert!(field < 16);
    out.push((field << 3 | wire_type) as u8);
}

/// A varint field, zero included: for `optional` fields and fields that must be seen.
#[inline]
pub(crate) fn put_uint_always(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, 0);
    put_varint(out, value);
}

/// A varint field; zero is the default and takes no bytes.
#[inline]
pub(crate) fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_uint_always(out, field, value);
    }
}

#[inline]
pub(crate) fn put_bool(out: &mut Vec<u8>, field: u32, value: bool) {
    put_uint(out, field, u64::from(value));
}

pub(crate) fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_tag(out, field, 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// The tag and length of a field whose `length` bytes the caller appends next.
#[inline]
pub(crate) fn put_length(out: &mut Vec<u8>, field: u32, length: usize) {
    if length < 0x80 {
        debug_assert!(field < 16);
        return out.extend_from_slice(&[(field << 3 | 2) as u8, length as u8]);
    }
    put_tag(out, field, 2);
    put_varint(out, length as u64);
}

/// A bytes, string or message field, empty included.
#[inline]
pub(crate) fn put_bytes_always(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_length(out, field, value.len());
    out.extend_from_slice(value);
}

/// A bytes or string field; empty is the default and takes no bytes.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    if !value.is_empty() {
        put_bytes_always(out, field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_long_as_predicted() {
        for shift in 0..64 {
            for value in [
                1u64 << shift,
                (1u64 << shift) - 1,
                (1u64 << shift) + 1,
                u64::MAX,
            ] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
                assert_eq!(
                    prost::encoding::decode_varint(&mut out.as_slice()).unwrap(),
                    value
                );
            }
        }
    }
}
