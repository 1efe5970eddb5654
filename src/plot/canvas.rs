//! [`Canvas`]: a [`Drawing`] as antialiased pixels, for PNG.

use std::path::Path;

use candle_core::Device;

use super::drawing::{Area, Drawing, Point, Shape};
use super::text::{Anchor, Letters};
use super::{Rgb, WHITE};
use crate::autograd::Tensor;
use crate::data::image::write_png;
use crate::error::Result;

pub(super) struct Canvas {
    letters: Letters,
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Canvas {
    fn new(letters: Letters, width: usize, height: usize) -> Canvas {
        Canvas { letters, width, height, pixels: vec![WHITE; width * height] }
    }

    pub(super) fn of(drawing: &Drawing) -> Canvas {
        let mut canvas = Canvas::new(drawing.letters.clone(), drawing.width, drawing.height);
        for shape in &drawing.shapes {
            match shape {
                Shape::Text { text, size, place, anchor, color, up } => {
                    canvas.text(text, *size, *place, *anchor, *color, *up)
                }
                Shape::Fill { area, color } => canvas.fill(*area, *color),
                Shape::Picture { area, pixels } => canvas.picture(*area, pixels),
                Shape::Line { points, width, color } => canvas.line(points, *width, *color),
            }
        }
        canvas
    }

    fn text(&mut self, text: &str, size: f32, place: Point, anchor: Anchor, color: Rgb, up: bool) {
        let letters = self.letters.clone();
        if up {
            let (x, y) = (place.0.round() as i32, place.1.round() as i32);
            letters.draw(text, size, (0.0, 0.0), anchor, |dx, dy, cover| {
                self.blend(x.saturating_add(dy), y.saturating_sub(dx), color, cover)
            });
        } else {
            letters.draw(text, size, place, anchor, |x, y, cover| self.blend(x, y, color, cover));
        }
    }

    /// A filled rectangle, rounded to whole pixels.
    fn fill(&mut self, area: Area, color: Rgb) {
        let edge = |x: f32, limit: usize| (x.round().max(0.0) as usize).min(limit);
        let columns = edge(area.left, self.width)..edge(area.right, self.width);
        for y in edge(area.top, self.height)..edge(area.bottom, self.height) {
            if let Some(row) = self.pixels[y * self.width..].get_mut(columns.clone()) {
                row.fill(color);
            }
        }
    }

    fn picture(&mut self, area: Area, pixels: &[Rgb]) {
        let (left, top) = (area.left as i32, area.top as i32);
        for (y, row) in pixels.chunks_exact((area.width() as usize).max(1)).enumerate() {
            for (x, &color) in row.iter().enumerate() {
                self.blend(left.saturating_add(x as i32), top.saturating_add(y as i32), color, 1.0);
            }
        }
    }

    /// A line through `points`, with round ends. It is not darker where it crosses itself.
    fn line(&mut self, points: &[Point], width: f32, color: Rgb) {
        let reach = width / 2.0 + 1.0;
        // The pixels near `low` to `high`; none if all are outside.
        let near = |low: f32, high: f32, size: usize| {
            let end = ((high + reach).ceil().max(0.0) as usize).min(size);
            ((low - reach).floor().max(0.0) as usize).min(end)..end
        };
        let span = |pick: fn(&Point) -> f32, points: &[Point], size: usize| {
            let low = points.iter().map(pick).fold(f32::INFINITY, f32::min);
            near(low, points.iter().map(pick).fold(f32::NEG_INFINITY, f32::max), size)
        };
        let (columns, rows) = (span(|p| p.0, points, self.width), span(|p| p.1, points, self.height));
        let mut mask = vec![0.0_f32; columns.len() * rows.len()];
        for (i, &a) in points.iter().enumerate() {
            let b = *points.get(i + 1).unwrap_or(&a);
            for y in near(a.1.min(b.1), a.1.max(b.1), self.height) {
                for x in near(a.0.min(b.0), a.0.max(b.0), self.width) {
                    let from = distance((x as f32 + 0.5, y as f32 + 0.5), a, b);
                    let cover = (width / 2.0 + 0.5 - from).clamp(0.0, 1.0);
                    let place = &mut mask[(y - rows.start) * columns.len() + x - columns.start];
                    *place = place.max(cover);
                }
            }
        }
        for (i, cover) in mask.into_iter().enumerate().filter(|(_, cover)| *cover > 0.0) {
            let (x, y) = (columns.start + i % columns.len(), rows.start + i / columns.len());
            let pixel = &mut self.pixels[y * self.width + x];
            *pixel = mix(*pixel, color, cover);
        }
    }

    pub(super) fn save(self, path: &Path) -> Result<()> {
        let bytes = self.pixels.into_iter().flatten().collect();
        write_png(path, &Tensor::from_vec(bytes, (self.height, self.width, 3), &Device::Cpu)?)
    }

    fn blend(&mut self, x: i32, y: i32, color: Rgb, cover: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x < self.width && y < self.height {
            let pixel = &mut self.pixels[y * self.width + x];
            *pixel = mix(*pixel, color, cover);
        }
    }
}

/// `under`, covered by `over` to the extent of `part`.
pub(super) fn mix(under: Rgb, over: Rgb, part: f32) -> Rgb {
    std::array::from_fn(|i| {
        let [under, over] = [under[i], over[i]].map(f32::from);
        (under + (over - under) * part).round() as u8
    })
}

/// The distance of a point from the line between two others.
fn distance(p: Point, a: Point, b: Point) -> f32 {
    let (to, along) = ((p.0 - a.0, p.1 - a.1), (b.0 - a.0, b.1 - a.1));
    let square = along.0 * along.0 + along.1 * along.1;
    let t = if square > 0.0 { ((to.0 * along.0 + to.1 * along.1) / square).clamp(0.0, 1.0) } else { 0.0 };
    (to.0 - t * along.0).hypot(to.1 - t * along.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Rgb = [0, 0, 0];

    fn darkness(canvas: &Canvas) -> f32 {
        canvas.pixels.iter().map(|p| 1.0 - f32::from(p[0]) / 255.0).sum()
    }

    #[test]
    fn lines_cover_their_area_once() -> Result<()> {
        let mut canvas = Canvas::new(Letters::new(), 40, 30);
        canvas.line(&[(5.3, 8.7), (25.3, 8.7)], 3.0, BLACK);
        let once = darkness(&canvas);
        assert!((once - (20.0 * 3.0 + std::f32::consts::PI * 2.25)).abs() < 2.0, "{once}");
        let mut canvas = Canvas::new(Letters::new(), 40, 30);
        canvas.line(&[(5.3, 8.7), (25.3, 8.7), (5.3, 8.7)], 3.0, BLACK);
        assert_eq!(darkness(&canvas), once);
        Ok(())
    }

    #[test]
    fn shapes_outside_are_not_drawn() -> Result<()> {
        let mut canvas = Canvas::new(Letters::new(), 10, 8);
        for far in [-1e30, -50.0, 50.0, 1e30] {
            canvas.line(&[(far, far), (far, far + 1.0)], 2.0, BLACK);
            let area = Area { left: far, top: far, right: far + 1.0, bottom: far + 1.0 };
            canvas.picture(area, &[BLACK]);
            canvas.fill(Area { left: far, top: far, right: far + 1.0, bottom: far + 1.0 }, BLACK);
            for up in [false, true] {
                canvas.text("a", 14.0, (far, far), crate::plot::text::MIDDLE, BLACK, up);
            }
        }
        assert_eq!(darkness(&canvas), 0.0);
        canvas.line(&[(-20.0, 4.0), (20.0, 4.0)], 1.0, BLACK);
        canvas.fill(Area { left: 4.0, top: -3.0, right: 5.0, bottom: 99.0 }, BLACK);
        assert!(darkness(&canvas) > 15.0);
        Ok(())
    }
}
