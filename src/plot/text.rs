//! Text in the bundled font.

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};
use unicode_normalization::UnicodeNormalization;

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

/// The box that stands for a letter that the font lacks.
const MISSING: GlyphId = GlyphId(0);

/// Whether a letter only says how others are shown: directions, joiners, variants, soft hyphens.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e01ef}')
}

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
        self.walk(text, size, |_, _, _, end| width = end);
        width
    }

    /// Visits each visible letter with its glyph, which is a box if the font has none, and where it begins and ends.
    fn walk(&self, text: &str, size: f32, mut visit: impl FnMut(char, GlyphId, f32, f32)) {
        let font = self.0.as_scaled(self.scale(size));
        let (mut x, mut last) = (0.0, None);
        // Composed: the font has é as one letter.
        for letter in text.nfc().filter(|&letter| !is_invisible(letter)) {
            let glyph = font.glyph_id(if letter.is_control() { ' ' } else { letter });
            x += last.map_or(0.0, |last| font.kern(last, glyph));
            // Other fonts have the letters of East Asia and pictographs about as wide as high.
            let wide = glyph == MISSING && letter >= '\u{1100}';
            let end = x + if wide { size } else { font.h_advance(glyph) };
            visit(letter, glyph, x, end);
            (x, last) = (end, Some(glyph));
        }
    }

    /// Whether the font has all letters of a text.
    pub(super) fn complete(&self, text: &str) -> bool {
        let mut complete = true;
        self.walk(text, 1.0, |_, glyph, _, _| complete &= glyph != MISSING);
        complete
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
        self.walk(&text, size, |letter, _, _, end| {
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
        self.walk(text, size, |_, glyph, x, _| {
            let place = ab_glyph::point(left + x, baseline);
            if let Some(outline) = self.0.outline_glyph(glyph.with_scale_and_position(scale, place)) {
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
    fn the_letters_of_formulas_and_names_are_there() {
        let letters = Letters::new();
        for text in [
            "Az09ÅéßŁΑΩαω∂∇∑∏√∞∫≈≠≤≥×·÷±−′⁰¹²³⁴⁹⁻ⁿ₀₉→…–—“”✓✗€%",
            "кошка Їжак Ґанок Љиљана Қазақ",
            "Nguyễn Thị Đặng Ơ Ư ẵ ợ",
            "Țară, Știință, İstanbul, Ağaç, Ħamrun, Łódź, Þór",
            "Ελλάδα, Հայերեն, ქართული, Ọ̀yọ́, Ɛʋɛ",
        ] {
            assert!(letters.complete(text), "{text}");
        }
    }

    #[test]
    fn a_letter_that_the_font_lacks_is_a_box() {
        let letters = Letters::new();
        let pixels = |text: &str| {
            let mut drawn = Vec::new();
            letters.draw(text, 20.0, (0.0, 20.0), LEFT, |x, y, cover| {
                if cover > 0.2 {
                    drawn.push((x, y));
                }
            });
            drawn
        };
        for text in ["猫", "ع", "ש", "ห", "한", "🐈", "\u{e000}", "\u{10ffff}"] {
            assert!(!letters.complete(text), "{text}");
            assert!(
                pixels(text).len() > 30 && pixels(&text.repeat(3)).len() == 3 * pixels(text).len(),
                "{text}"
            );
        }
        assert_eq!(letters.width("猫", 20.0), 20.0);
        assert_eq!(pixels("e\u{301}"), pixels("\u{e9}"));
        assert_eq!(pixels("a\u{200d}\u{fe0f}\u{ad}b"), pixels("ab"));
        assert_eq!(pixels("a\nb"), pixels("a b"));
        assert!(letters.fit("猫猫猫猫猫猫", 20.0, 70.0).ends_with("猫…"));
    }
}
