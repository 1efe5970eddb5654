//! Whether a JPEG is complete: the decoder fills what is missing with grey and reports no error.
//!
//! Source: ITU-T T.81, annex B. A file is segments, each with its length, and compressed data, in which an 0xFF is a marker unless
//! a 0 follows it. The last marker is EOI.

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// Whether the end marker of the image at the start of the file is there. Bytes after it are ignored.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, after)) = next_marker(rest) {
        match marker {
            EOI => return true,
            // These have no length: a stuffed zero and the restarts lie inside compressed data.
            0x00 | 0x01 | SOI | 0xD0..=0xD7 => rest = after,
            _ => {
                let Some(&[high, low]) = after.first_chunk() else { return false };
                let length = usize::from(u16::from_be_bytes([high, low]));
                // A length counts its own two bytes; after the header of a scan, the data follow.
                let Some(data) = after.get(length.max(2)..) else { return false };
                if marker == SOS && data.is_empty() {
                    return false;
                }
                rest = data;
            }
        }
    }
    false
}

/// The first marker and what comes after it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.iter().position(|&byte| byte == 0xFF)?;
    let fill = bytes[start..].iter().position(|&byte| byte != 0xFF)?;
    let (&marker, after) = bytes[start + fill..].split_first()?;
    Some((marker, after))
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn the_end_marker_of_the_image_itself() {
        // A thumbnail with an end of its own inside a segment, a stuffed byte, a restart, fill bytes.
        let thumb = [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
        let scan = [0xFF, 0xDA, 0, 3, 1, 9, 0xFF, 0, 7, 0xFF, 0xD0, 8, 0xFF, 0xFF, 0xD9];
        let whole = [&[0xFF, 0xD8], &thumb[..], &scan[..]].concat();
        assert!(is_whole(&whole));
        assert!(is_whole(&[&whole[..], b"trailing"].concat()));
        for length in 0..whole.len() {
            assert!(!is_whole(&whole[..length]), "{length}");
        }
    }
}
