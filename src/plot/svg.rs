//! A [`Drawing`] as SVG. Text stays text, with the width that was measured in our font if that has its letters.

use std::fmt::Write;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::Rgb;
use super::drawing::{Drawing, Point, Shape};
use super::text::CAPITAL;
use crate::error::{Error, Result};

const FONTS: &str = "DejaVu Sans, Verdana, Geneva, sans-serif";

/// The drawing as an SVG element, for a file or for an HTML page.
pub(super) fn document(drawing: &Drawing) -> Result<String> {
    let (width, height) = (drawing.width, drawing.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"{FONTS}\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for shape in &drawing.shapes {
        element(&mut out, drawing, shape)?;
        out.push('\n');
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn element(out: &mut String, drawing: &Drawing, shape: &Shape) -> Result<()> {
    let written = match shape {
        Shape::Text { text, size, place, anchor, color, up } => {
            let anchored = match anchor.x {
                x if x < 0.25 => "start",
                x if x < 0.75 => "middle",
                _ => "end",
            };
            let baseline = size * CAPITAL * (1.0 - anchor.y);
            let ((x, y), turn) = match up {
                true => ((place.0 + baseline, place.1), " rotate(-90)"),
                false => ((place.0, place.1 + baseline), ""),
            };
            let (x, y) = (hundredths(x), hundredths(y));
            let length = match drawing.letters.complete(text) {
                true => {
                    let length = hundredths(drawing.letters.width(text, *size));
                    format!(" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\"")
                }
                false => String::new(),
            };
            let (color, text) = (hex(*color), escaped(text));
            write!(
                out,
                "<text transform=\"translate({x} {y}){turn}\" font-size=\"{size}\" text-anchor=\"{anchored}\"{length} \
                 fill=\"{color}\">{text}</text>"
            )
        }
        Shape::Fill { area, color } => {
            let [x, y, w, h] = [area.left, area.top, area.width(), area.height()].map(hundredths);
            let color = hex(*color);
            write!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{color}\" shape-rendering=\"crispEdges\"/>"
            )
        }
        Shape::Picture { area, pixels } => {
            let [x, y, w, h] = [area.left, area.top, area.width(), area.height()].map(hundredths);
            let png = data_url(area.width() as usize, pixels)?;
            write!(
                out,
                "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" \
                 style=\"image-rendering:pixelated\" href=\"{png}\"/>"
            )
        }
        Shape::Line { points, width, color } => {
            let color = hex(*color);
            match points[..] {
                [] => Ok(()),
                [(x, y), ref rest @ ..] if rest.iter().all(|&point| point == (x, y)) => {
                    let [x, y, r] = [x, y, width / 2.0].map(hundredths);
                    write!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{color}\"/>")
                }
                _ => {
                    let pair = |&(x, y): &Point| format!("{},{}", hundredths(x), hundredths(y));
                    let points: Vec<String> = points.iter().map(pair).collect();
                    let points = points.join(" ");
                    write!(
                        out,
                        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
                         stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
                    )
                }
            }
        }
    };
    written.map_err(|error| Error::argument("plot", "a plot that can be written", error))
}

/// A coordinate in hundredths of a pixel.
fn hundredths(x: f32) -> String {
    let text = format!("{x:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

pub(super) fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text escaped for XML and HTML. Characters that they cannot contain become spaces.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Pixels, row by row, as the URL of a PNG.
pub(super) fn data_url(columns: usize, pixels: &[Rgb]) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", base64(&png(columns, pixels)?)))
}

fn png(columns: usize, pixels: &[Rgb]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let rows = pixels.len() / columns.max(1);
    PngEncoder::new(&mut bytes)
        .write_image(pixels.as_flattened(), columns as u32, rows as u32, ExtendedColorType::Rgb8)
        .map_err(|error| Error::argument("plot", "an image that can be encoded", error))?;
    Ok(bytes)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(*three.get(i).unwrap_or(&0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]);
            out.push(if i > three.len() { '=' } else { digit });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::drawing::Area;
    use crate::plot::text::{Letters, MIDDLE};

    #[test]
    fn base64_of_the_standard() {
        // The test vectors of RFC 4648.
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn every_shape_is_an_element() -> Result<()> {
        let mut drawing = Drawing::new(Letters::new(), 40.0, 29.5);
        drawing.text("a<b & \"c\"\u{0}", 14.0, (10.0, 20.0), MIDDLE, [255, 0, 16]);
        drawing.text_up("up", 14.0, (10.0, 20.0), MIDDLE, [0; 3]);
        for name in ["кошка", "猫", "عربي", "👩‍🔬", "\u{fffe}<"] {
            drawing.text(name, 14.0, (10.0, 20.0), MIDDLE, [0; 3]);
        }
        drawing.fill(Area { left: 1.0, top: 2.0, right: 4.5, bottom: 4.0 }, [1, 2, 3]);
        drawing.picture(Area { left: 0.0, top: 0.0, right: 8.0, bottom: 8.0 }, 2, &[[9; 3]; 4]);
        drawing.line(vec![(1.0, 2.0), (3.0, 4.126)], 2.0, [0; 3]);
        drawing.disc((5.0, 6.0), 3.5, [0; 3]);
        drawing.line(vec![], 2.0, [0; 3]);
        let text = document(&drawing)?;
        for part in [
            "width=\"40\" height=\"30\"",
            "fill=\"#ff0010\">a&lt;b &amp; &quot;c&quot; </text>",
            "rotate(-90)\"",
            "lengthAdjust=\"spacingAndGlyphs\" fill=\"#000000\">кошка</text>",
            "text-anchor=\"middle\" fill=\"#000000\">猫</text>",
            ">عربي</text>",
            ">👩‍🔬</text>",
            "> &lt;</text>",
            "<rect x=\"1\" y=\"2\" width=\"3.5\" height=\"2\" fill=\"#010203\"",
            "href=\"data:image/png;base64,iVBORw0KGgo",
            "<polyline points=\"1,2 3,4.13\"",
            "<circle cx=\"5\" cy=\"6\" r=\"3.5\"",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        Ok(())
    }
}
