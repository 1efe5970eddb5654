//! Protobuf messages, as bytes: a message is its fields one after the other.

/// A field of bytes: text, or another message.
pub(crate) fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A field of a whole number, or of several in a row if the field is repeated.
pub(crate) fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// A field of a number of four bytes.
pub(crate) fn float_field(number: u64, value: f32) -> Vec<u8> {
    [varint(number << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{field, float_field, varint, varint_field};

    #[test]
    fn numbers_and_fields() {
        assert_eq!(
            (varint(0), varint(127), varint(300), varint(u64::MAX).len()),
            (vec![0], vec![127], vec![0xac, 2], 10)
        );
        assert_eq!(field(1, b"a"), b"\x0a\x01a");
        assert_eq!(field(16, b""), [0x82, 1, 0]);
        assert_eq!(varint_field(2, 300), [0x10, 0xac, 2]);
        assert_eq!(float_field(2, 0.5), b"\x15\0\0\0\x3f");
    }
}
