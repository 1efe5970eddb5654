//! [`Plane`]: a drawing with two axes and a legend.

use super::axis::Axis;
use super::drawing::{Area, Drawing, Point};
use super::text::{LEFT, Letters, MIDDLE, RIGHT, TOP};
use super::{COLORS, FRAME, INK, LABEL, Rgb, TICK, TITLE};

/// The largest width of a name.
const NAMES: f32 = 240.0;
const SAMPLE: f32 = 28.0;
const ROW: f32 = 26.0;
pub(super) const ROOM: f32 = 20.0;

const GRID: Rgb = [216, 216, 216];
const FINE_GRID: Rgb = [240, 240, 240];

/// The title and the labels of the axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
}

/// The sample before a name in the legend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// The line of this index.
    Line(usize),
    /// A grey dashed line.
    Guide,
    /// A dot of this colour.
    Dot(Rgb),
}

/// A drawing with two axes.
pub(super) struct Plane {
    pub(super) drawing: Drawing,
    pub(super) area: Area,
    x: Axis,
    y: Axis,
}

impl Plane {
    /// Axes in a drawing of this size; the legend is added on the right.
    pub(super) fn new(
        (width, height): (f32, f32),
        labels: Labels,
        [x, y]: [Axis; 2],
        names: &[(&str, Key)],
    ) -> Plane {
        let letters = Letters::new();
        let widest = |texts: &mut dyn Iterator<Item = &str>, size| {
            texts.map(|text| letters.width(text, size)).fold(0.0, f32::max)
        };
        let beside = match widest(&mut names.iter().map(|(name, _)| *name), LABEL).min(NAMES) {
            0.0 => 0.0,
            // Room for "and 99 more".
            width => width.max(6.0 * LABEL) + SAMPLE + 1.5 * ROOM,
        };
        let numbers = widest(&mut y.ticks.iter().map(|(_, label)| &**label), TICK);
        let area = Area {
            left: (numbers + LABEL + 2.0 * ROOM).ceil(),
            top: (TITLE + 2.0 * ROOM).ceil(),
            right: width - ROOM,
            bottom: (height - TICK - LABEL - 2.0 * ROOM).floor(),
        };
        let (centre, half) = area.middle();
        let drawing = Drawing::new(letters, width + beside.floor(), height);
        let mut plane = Plane { drawing, area, x, y };
        plane.axes();
        let drawing = &mut plane.drawing;
        let title = drawing.letters.fit(labels.title, TITLE, width - ROOM);
        // A long title may be wider than the axes.
        let rightmost = width - (drawing.letters.width(&title, TITLE) + ROOM) / 2.0;
        drawing.text(&title, TITLE, (centre.min(rightmost), area.top / 2.0), MIDDLE, INK);
        drawing.fitted(labels.x, LABEL, area.width(), (centre, height - ROOM), MIDDLE);
        let left = drawing.letters.fit(labels.y, LABEL, area.height());
        drawing.text_up(&left, LABEL, (ROOM, half), MIDDLE, INK);
        if beside > 0.0 {
            plane.names(names);
        }
        plane
    }

    /// The point of two positions on the axes.
    pub(super) fn place(&self, (x, y): (f64, f64)) -> Point {
        let part = |axis: &Axis, place: f64| ((place - axis.low) / (axis.high - axis.low)) as f32;
        let Area { left, bottom, .. } = self.area;
        (left + part(&self.x, x) * self.area.width(), bottom - part(&self.y, y) * self.area.height())
    }

    /// The line of index `i`, with markers if `marked`.
    pub(super) fn line(&mut self, i: usize, run: &[(f64, f64)], marked: bool) {
        let points = thinned(run.iter().map(|&point| self.place(point)));
        draw_line(&mut self.drawing, i, &points);
        if marked || run.len() == 1 {
            points.iter().for_each(|&point| self.drawing.disc(point, 3.5, COLORS[i % COLORS.len()]));
        }
    }

    /// A point of the series `i`.
    pub(super) fn point(&mut self, i: usize, point: (f64, f64)) {
        let place = self.place(point);
        self.drawing.disc(place, 2.5, COLORS[i % COLORS.len()]);
    }

    /// A grey dashed line.
    pub(super) fn guide(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ends = [self.place(from), self.place(to)];
        draw_guide(&mut self.drawing, &ends);
    }

    fn axes(&mut self) {
        let area = self.area;
        let (x, y) = (self.x.clone(), self.y.clone());
        let across = |plane: &Plane, place: f64| plane.place((place, 0.0)).0.round();
        let up = |plane: &Plane, place: f64| plane.place((0.0, place)).1.round();
        let ticks = |axis: &Axis| axis.ticks.iter().map(|(place, _)| *place).collect::<Vec<_>>();
        for (x, y, color) in [(&x.minor, &y.minor, FINE_GRID), (&ticks(&x), &ticks(&y), GRID)] {
            for &place in x {
                let left = across(self, place);
                self.drawing.fill(Area { left, right: left + 1.0, ..area }, color);
            }
            for &place in y {
                let top = up(self, place);
                self.drawing.fill(Area { top, bottom: top + 1.0, ..area }, color);
            }
        }
        self.drawing.frame(area, 1.0, FRAME);
        for (place, label) in &x.ticks {
            let left = across(self, *place);
            let mark = Area { left, right: left + 1.0, top: area.bottom, bottom: area.bottom + 5.0 };
            self.drawing.fill(mark, FRAME);
            self.drawing.text(label, TICK, (left, area.bottom + 9.0), TOP, INK);
        }
        for (place, label) in &y.ticks {
            let top = up(self, *place);
            let mark = Area { top, bottom: top + 1.0, left: area.left - 5.0, right: area.left };
            self.drawing.fill(mark, FRAME);
            self.drawing.text(label, TICK, (area.left - 9.0, top), RIGHT, INK);
        }
    }

    /// The legend, right of the axes.
    fn names(&mut self, names: &[(&str, Key)]) {
        let left = self.area.right + ROOM;
        let rows = (self.area.height() / ROW) as usize;
        let drawing = &mut self.drawing;
        for (i, (name, key)) in names.iter().enumerate().take(rows) {
            let y = self.area.top + (i as f32 + 0.5) * ROW;
            let text = left + SAMPLE + ROOM / 2.0;
            if i + 1 == rows && names.len() > rows {
                let more = format!("and {} more", names.len() - i);
                return drawing.text(&more, LABEL, (text, y), LEFT, INK);
            }
            let sample = [(left, y), (left + SAMPLE, y)];
            match key {
                Key::Line(number) => draw_line(drawing, *number, &sample),
                Key::Guide => draw_guide(drawing, &sample),
                Key::Dot(color) => drawing.disc((left + SAMPLE / 2.0, y), 6.0, *color),
            }
            drawing.fitted(name, LABEL, NAMES, (text, y), LEFT);
        }
    }
}

/// A line in the colour of its index. After the last colour, lines are dashed.
fn draw_line(drawing: &mut Drawing, i: usize, points: &[Point]) {
    let color = COLORS[i % COLORS.len()];
    match i / COLORS.len() {
        0 => drawing.line(points.to_vec(), 2.0, color),
        round => {
            dashes(points, 9.0 / round as f32).into_iter().for_each(|dash| drawing.line(dash, 2.0, color))
        }
    }
}

fn draw_guide(drawing: &mut Drawing, points: &[Point]) {
    dashes(points, 6.0).into_iter().for_each(|dash| drawing.line(dash, 1.5, FRAME));
}

/// The visible points: in each column of pixels the first, lowest, highest and last.
fn thinned(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    let mut column: Vec<Point> = Vec::new();
    let mut close = |column: &mut Vec<Point>| {
        if column.len() > 4 {
            let (first, last) = (column[0], column[column.len() - 1]);
            let by_height = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
            let (low, high) = (column.iter().min_by(by_height), column.iter().max_by(by_height));
            kept.extend([Some(first), low.copied(), high.copied(), Some(last)].into_iter().flatten());
        } else {
            kept.extend(column.iter());
        }
        column.clear();
    };
    for point in points {
        if column.last().is_some_and(|last| last.0.floor() != point.0.floor()) {
            close(&mut column);
        }
        column.push(point);
    }
    close(&mut column);
    kept
}

/// The line in pieces of this length, with a gap of two thirds of it after each.
fn dashes(points: &[Point], length: f32) -> Vec<Vec<Point>> {
    let (mut pieces, mut piece) = (Vec::new(), Vec::new());
    let (mut left, mut drawn) = (length, true);
    for pair in points.windows(2) {
        let [mut from, to] = [pair[0], pair[1]];
        loop {
            let far = (to.0 - from.0).hypot(to.1 - from.1);
            if drawn {
                piece.push(from);
            }
            if far < left {
                left -= far;
                break;
            }
            let part = left / far.max(f32::MIN_POSITIVE);
            from = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
            if drawn {
                piece.push(from);
                pieces.push(std::mem::take(&mut piece));
            }
            drawn = !drawn;
            left = if drawn { length } else { length * 2.0 / 3.0 };
        }
    }
    piece.extend(points.last().filter(|_| drawn));
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_extremes() {
        let points: Vec<Point> = (0..100).map(|i| (i as f32 / 50.0, ((i * 37) % 100) as f32)).collect();
        let kept = thinned(points.iter().copied());
        assert_eq!(kept.len(), 8);
        assert_eq!((kept[0], kept[7]), (points[0], points[99]));
        let heights: Vec<f32> = kept.iter().map(|p| p.1).collect();
        assert!(heights.contains(&0.0) && heights.contains(&99.0));
        assert_eq!(thinned(points[..4].iter().copied()), points[..4]);
    }

    #[test]
    fn dashes_have_their_length() {
        let pieces = dashes(&[(0.0, 0.0), (10.0, 0.0), (10.0, 20.0)], 6.0);
        let lengths: Vec<f32> = pieces
            .iter()
            .map(|p| p.windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).sum())
            .collect();
        // The last begins where the line ends.
        assert_eq!(lengths, [6.0, 6.0, 6.0, 0.0]);
        assert_eq!(dashes(&[(1.0, 1.0), (1.0, 1.0)], 6.0), [[(1.0, 1.0), (1.0, 1.0)]]);
    }
}
