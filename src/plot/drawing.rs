//! [`Drawing`]: a plot as a list of shapes, before it is pixels or SVG.

use std::path::Path;

use super::canvas::Canvas;
use super::text::{Anchor, Letters};
use super::{FRAME, INK, Rgb, svg};
use crate::error::Result;
use crate::file::{file_error, replace};

/// A position, in pixels from the left and the top.
pub(super) type Point = (f32, f32);

/// A rectangle by its left, top, right and bottom edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

impl Area {
    pub(super) fn width(self) -> f32 {
        self.right - self.left
    }

    pub(super) fn height(self) -> f32 {
        self.bottom - self.top
    }

    pub(super) fn middle(self) -> Point {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }
}

/// The shapes of a drawing.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A line of text, rotated upwards if `up`.
    Text { text: String, size: f32, place: Point, anchor: Anchor, color: Rgb, up: bool },
    /// A filled rectangle.
    Fill { area: Area, color: Rgb },
    /// An image, row by row, that fills a rectangle of whole pixels.
    Picture { area: Area, pixels: Vec<Rgb> },
    /// A line through points, with round ends. One point makes a disc.
    Line { points: Vec<Point>, width: f32, color: Rgb },
}

/// Shapes drawn one over the other.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    pub(super) letters: Letters,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) shapes: Vec<Shape>,
}

impl Drawing {
    /// A white drawing. The size is rounded up to whole pixels.
    pub(super) fn new(letters: Letters, width: f32, height: f32) -> Drawing {
        Drawing { letters, width: width.ceil() as usize, height: height.ceil() as usize, shapes: Vec::new() }
    }

    pub(super) fn text(&mut self, text: &str, size: f32, place: Point, anchor: Anchor, color: Rgb) {
        let text = text.to_string();
        self.shapes.push(Shape::Text { text, size, place, anchor, color, up: false });
    }

    pub(super) fn text_up(&mut self, text: &str, size: f32, place: Point, anchor: Anchor, color: Rgb) {
        let text = text.to_string();
        self.shapes.push(Shape::Text { text, size, place, anchor, color, up: true });
    }

    /// A line of text, cut to fit into `width`.
    pub(super) fn fitted(&mut self, text: &str, size: f32, width: f32, place: Point, anchor: Anchor) {
        let text = self.letters.fit(text, size, width);
        self.text(&text, size, place, anchor, INK);
    }

    pub(super) fn fill(&mut self, area: Area, color: Rgb) {
        self.shapes.push(Shape::Fill { area, color });
    }

    /// An image with this number of columns, enlarged to a rectangle of whole pixels.
    pub(super) fn picture(&mut self, area: Area, columns: usize, pixels: &[Rgb]) {
        let rows = pixels.len() / columns.max(1);
        // Enlarged here, since some SVG viewers would blur it.
        let nearest = |room: f32, count: usize| {
            let of = move |i: usize| (((i as f32 + 0.5) / room * count as f32) as usize).min(count - 1);
            (0..if count > 0 { room as usize } else { 0 }).map(of)
        };
        let row = |y: usize| nearest(area.width(), columns).map(move |x| pixels[y * columns + x]);
        let pixels = nearest(area.height(), rows).flat_map(row).collect();
        self.shapes.push(Shape::Picture { area, pixels });
    }

    /// The outline of a rectangle, just outside it.
    pub(super) fn frame(&mut self, area: Area, width: f32, color: Rgb) {
        let Area { left, top, right, bottom } = area;
        self.fill(Area { left: left - width, top: top - width, right: right + width, bottom: top }, color);
        self.fill(
            Area { left: left - width, top: bottom, right: right + width, bottom: bottom + width },
            color,
        );
        self.fill(Area { left: left - width, right: left, ..area }, color);
        self.fill(Area { left: right, right: right + width, ..area }, color);
    }

    /// A framed colour bar; `color` is that of a position from 0 (top) to 1 (bottom).
    pub(super) fn color_bar(&mut self, area: Area, color: impl Fn(f32) -> Rgb) {
        let steps = area.height() as usize;
        let pixels: Vec<Rgb> = (0..steps).map(|i| color((i as f32 + 0.5) / steps as f32)).collect();
        self.picture(area, 1, &pixels);
        self.frame(area, 1.0, FRAME);
    }

    pub(super) fn disc(&mut self, centre: Point, radius: f32, color: Rgb) {
        self.line(vec![centre], 2.0 * radius, color);
    }

    pub(super) fn line(&mut self, points: Vec<Point>, width: f32, color: Rgb) {
        self.shapes.push(Shape::Line { points, width, color });
    }

    /// Writes a PNG or SVG file, by the extension.
    pub(super) fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or("");
        match &*kind.to_ascii_lowercase() {
            "png" => Canvas::of(self).save(path),
            "svg" => {
                let text = svg::document(self)?;
                replace(path, |file| file.write_all(text.as_bytes()))
            }
            _ => Err(file_error(path, "expected a file name that ends in .png or .svg")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_extension_decides() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let mut drawing = Drawing::new(Letters::new(), 20.0, 10.0);
        drawing.disc((5.0, 5.0), 3.0, [0; 3]);
        for (name, start) in [("a.png", &b"\x89PNG"[..]), ("b.SVG", b"<svg"), ("c.d.svg", b"<svg")] {
            let path = directory.path().join(name);
            drawing.save(&path)?;
            assert!(std::fs::read(&path).unwrap().starts_with(start), "{name}");
        }
        for name in ["a.jpg", "a", ".png", ""] {
            let error = drawing.save(directory.path().join(name)).unwrap_err();
            assert!(matches!(error, Error::File { .. }), "{name}");
            assert!(error.to_string().ends_with("expected a file name that ends in .png or .svg"), "{name}");
        }
        Ok(())
    }
}
