//! The places in a text where a value may end.

/// The bytes that are looked at together.
const WINDOW: usize = 64;
/// The bytes that digits, a point and a minus sign are among; no others lie between two marks.
const FIRST: u8 = b'-';
const LAST: u8 = b'9';

/// The places of all bytes but `-./0123456789`, one after the other, and then the end of the text again and again.
pub(super) struct Marks<'a> {
    text: &'a [u8],
    /// Where the window begins, and a bit for each mark in it that was not given yet.
    window: usize,
    left: u64,
}

impl<'a> Marks<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Marks { text, window: 0, left: window(text, 0) }
    }

    /// Whether a byte is a mark.
    pub(super) fn has(byte: u8) -> bool {
        !(FIRST..=LAST).contains(&byte)
    }

    /// The next mark.
    #[inline(always)]
    pub(super) fn next(&mut self) -> usize {
        while self.left == 0 {
            self.window += WINDOW;
            self.left = window(self.text, self.window);
        }
        let mark = self.window + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        mark.min(self.text.len())
    }

    /// Goes on with the first mark that is not before a place.
    pub(super) fn seek(&mut self, place: usize) {
        self.window = place - place % WINDOW;
        self.left = window(self.text, self.window) & (u64::MAX << (place % WINDOW));
    }
}

/// A bit for each mark among the bytes from a place on. Those behind the end are marks, too.
#[inline(always)]
fn window(text: &[u8], from: usize) -> u64 {
    if let Some(bytes) = text.get(from..from + WINDOW) {
        return bits(bytes);
    }
    let rest = text.get(from..).unwrap_or_default();
    let mut bytes = [0; WINDOW];
    bytes[..rest.len()].copy_from_slice(rest);
    bits(&bytes)
}

#[inline(always)]
fn bits(bytes: &[u8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().enumerate().fold(0, |bits, (i, word)| {
        let word = u64::from_le_bytes(*word);
        // Of each byte the first bit: whether it is at least the first, and more than the last.
        let low = word & (ONES * 0x7f);
        let (from, above) = (low + ONES * u64::from(0x80 - FIRST), low + ONES * u64::from(0x7f - LAST));
        let marks = (!from | above | word) & (ONES * 0x80);
        // The eight bits become the eight bits of one byte.
        bits | ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i)
    })
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn marks_are_all_but_the_bytes_of_numbers() {
        let all: Vec<u8> = (0..=255).chain(*b"1.5,-2,,x\n").chain([b'7'; 300]).collect();
        for length in 0..=all.len() {
            let text = &all[all.len() - length..];
            let plain = |byte: &u8| b"-./0123456789".contains(byte);
            let expected = |from: usize| (from..length).filter(|&i| !plain(&text[i])).chain([length; 3]);
            let mut marks = Marks::of(text);
            expected(0).for_each(|mark| assert_eq!(marks.next(), mark));
            for place in [0, 1, length / 2, length.saturating_sub(1), length] {
                marks.seek(place.min(length));
                expected(place.min(length)).for_each(|mark| assert_eq!(marks.next(), mark));
            }
            text.iter().for_each(|byte| assert_eq!(Marks::has(*byte), !plain(byte)));
        }
    }
}
