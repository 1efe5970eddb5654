//! Text in the bundled font.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};

static FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");

/// The point of a text that is put at its position, from 0 (left, top) to 1 (right, bottom).
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) x: f32,
    pub(super) y: f32,
}

pub(super) const MIDDLE: Anchor = Anchor { x: 0.5, y: 0.5 };
pub(super) const LEFT: Anchor = Anchor { x: 0.0, y: 0.5 };
pub(super) const RIGHT: Anchor = Anchor { x: 1.0, y: 0.5 };
pub(super) const TOP: Anchor = Anchor { x: 0.5, y: 0.0 };

/// The height of a capital letter in ems, which texts are centred by.
pub(super) const CAPITAL: f32 = 0.73;

#[derive(Clone, Debug)]
pub(super) struct Letters(FontRef<'static>);

impl Letters {
    pub(super) fn new() -> Letters {
        Letters(FontRef::try_from_slice(FONT).expect("the bundled font is valid"))
    }

    /// Converts a size in ems: ab_glyph measures from the lowest to the highest letter.
    fn scale(&self, size: f32) -> PxScale {
        let em = self.0.units_per_em().expect("the bundled font has a scale");
        PxScale::from(size * self.0.height_unscaled() / em)
    }

    /// The width of a line of text.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let mut width = 0.0;
        self.walk(text, size, |_, _, end| width = end);
        width
    }

    fn walk(&self, text: &str, size: f32, mut visit: impl FnMut(char, f32, f32)) {
        let font = self.0.as_scaled(self.scale(size));
        let (mut x, mut last) = (0.0, None);
        for letter in text.chars() {
            let glyph = font.glyph_id(letter);
            x += last.map_or(0.0, |last| font.kern(last, glyph));
            visit(letter, x, x + font.h_advance(glyph));
            x += font.h_advance(glyph);
            last = Some(glyph);
        }
    }

    /// The text, cut with … if it is wider than `width`.
    pub(super) fn fit(&self, text: &str, size: f32, width: f32) -> String {
        // Control characters have no glyph.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if self.width(&text, size) <= width {
            return text;
        }
        let room = width - self.width("…", size);
        let mut kept = String::new();
        self.walk(&text, size, |letter, _, end| {
            if end <= room {
                kept.push(letter);
            }
        });
        format!("{}…", kept.trim_end())
    }

    /// Calls `pixel` with the coverage of each pixel, from 0 to 1.
    pub(super) fn draw(
        &self,
        text: &str,
        size: f32,
        (x, y): (f32, f32),
        anchor: Anchor,
        mut pixel: impl FnMut(i32, i32, f32),
    ) {
        let scale = self.scale(size);
        let left = x - anchor.x * self.width(text, size);
        // Between two rows of pixels a line of text would be blurred.
        let baseline = (y + size * CAPITAL * (1.0 - anchor.y)).round();
        self.walk(text, size, |letter, x, _| {
            let place = ab_glyph::point(left + x, baseline);
            let glyph = self.0.glyph_id(letter).with_scale_and_position(scale, place);
            if let Some(outline) = self.0.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                let (left, top) = (corner.x as i32, corner.y as i32);
                outline.draw(|x, y, cover| {
                    pixel(left.saturating_add(x as i32), top.saturating_add(y as i32), cover.min(1.0))
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_and_fitting() {
        let letters = Letters::new();
        assert_eq!(letters.width("", 20.0), 0.0);
        let (one, two) = (letters.width("m", 20.0), letters.width("mm", 20.0));
        assert!((two - 2.0 * one).abs() < 0.1 && (10.0..30.0).contains(&one));
        assert_eq!(letters.fit("a\nb", 20.0, 100.0), "a b");
        let cut = letters.fit("a text that is too long", 20.0, 100.0);
        assert!(cut.ends_with('…') && cut.starts_with("a te") && letters.width(&cut, 20.0) <= 100.0);
        assert_eq!(letters.fit("long", 20.0, 0.0), "…");
    }

    #[test]
    fn the_letters_of_formulas_are_there() {
        let Letters(font) = Letters::new();
        for letter in "Az09ÅéßŁΑΩαω∂∇∑∏√∞∫≈≠≤≥×·÷±−′⁰¹²³⁴⁹⁻ⁿ₀₉→…–—“”✓✗€%".chars()
        {
            assert!(font.glyph_id(letter).0 != 0, "{letter}");
        }
    }
}
