//! [`report`]: a training run as an HTML page.

use std::path::Path;

use super::curve::{self, Axes};
use super::histogram::three_digits;
use super::svg::{data_url, document, escaped};
use super::{confusion, drawing::Drawing, grid, ranking};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::replace;
use crate::metrics::{CalibrationError, ConfusionMatrix, RocAuc};

/// The contents of a [`report`]. Empty fields are left out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The heading. Default: `Training`.
    pub title: String,
    /// Sentences below the heading.
    pub notes: Vec<String>,
    /// Names and values of the results, shown first.
    pub metrics: Vec<(String, f64)>,
    /// Names and values of the settings.
    pub settings: Vec<(String, String)>,
    /// The model as text, as [`Summary`](crate::layer::Summary) prints it.
    pub summary: String,
    /// The plots.
    pub curves: Vec<Curves>,
    /// The confusion matrix.
    pub confusion: Option<ConfusionMatrix>,
    /// The names of the classes in the confusion matrix. Default: their numbers.
    pub classes: Vec<String>,
    /// ROC curves, as by [`roc_curve`](super::roc_curve()).
    pub roc: Vec<(String, RocAuc)>,
    /// The calibration curve, as by [`calibration_curve`](super::calibration_curve()).
    pub calibration: Option<CalibrationError>,
    /// Tables, shown before the settings.
    pub tables: Vec<ReportTable>,
}

/// A table in a [`Report`].
#[derive(Clone, Debug, Default)]
pub struct ReportTable {
    /// The heading.
    pub title: String,
    /// The names of the columns. Default: no names.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a [`ReportTable`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cell {
    /// A text.
    Text(String),
    /// A bar of this length, from 0 to 1; a number outside is cut.
    Bar(f64),
    /// An image (h, w), (h, w, c) or (c, h, w), as for [`image_grid`](super::image_grid()).
    Image(Tensor),
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::Text(text.into())
    }
}

/// A plot in a [`Report`], as by [`curve_with_axes`](super::curve_with_axes).
#[derive(Clone, Debug, Default)]
pub struct Curves {
    /// The title.
    pub title: String,
    /// The labels and scales.
    pub axes: Axes,
    /// Lines through points (x, y), each with a name.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
}

const STYLE: &str = "\
body { font: 16px/1.5 system-ui, 'DejaVu Sans', sans-serif; color: #212121; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #d8d8d8 }
dl { display: flex; flex-wrap: wrap; gap: .8rem; margin: 0 } dl div { border: 1px solid #d8d8d8; border-radius: 6px; padding: .4rem 1rem }
dt { color: #616161 } dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums }
table { border-collapse: collapse } td, th { text-align: left; padding: .2rem 1.5rem .2rem 0; border-bottom: 1px solid #e8e8e8; vertical-align: top }
th { font-weight: normal; color: #616161 } pre { overflow-x: auto; background: #f6f6f6; padding: 1rem; font-size: .85rem }
svg { max-width: 100%; height: auto; display: block } img { width: 8rem; border: 1px solid #d8d8d8; image-rendering: pixelated; display: block }
.scroll { overflow-x: auto } .bar { width: 16rem; max-width: 40vw } .bar div { background: #0072b2; height: 1rem }";

/// Writes an HTML page on a training run: results, curves, confusion matrix, settings and model.
///
/// The page is one file with the plots in it as SVG. It has no scripts and loads nothing.
///
/// # Errors
/// As [`curve`](super::curve()), [`confusion_matrix`](super::confusion_matrix()) and [`image_grid`](super::image_grid()).
///
/// ```
/// # use tealight::plot::{Axes, Curves, Report, report};
/// # let path = std::env::temp_dir().join("tealight-doc-report-fn.html");
/// let series = vec![("training".to_string(), vec![(1.0, 0.9), (2.0, 0.4), (3.0, 0.25)])];
/// let loss = Curves { title: "Loss".into(), axes: Axes::new("epoch", "loss"), series };
/// let metrics = vec![("accuracy".into(), 0.93)];
/// report(&path, &Report { title: "Digits".into(), metrics, curves: vec![loss], ..Report::default() })?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains("<dt>accuracy</dt><dd>0.9300</dd>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn report(path: impl AsRef<Path>, report: &Report) -> Result<()> {
    let page = page(report)?;
    replace(path.as_ref(), |file| file.write_all(page.as_bytes()))
}

fn page(report: &Report) -> Result<String> {
    let title = escaped(if report.title.is_empty() { "Training" } else { &report.title });
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n"
    );
    report.notes.iter().for_each(|note| out.push_str(&format!("<p>{}</p>\n", escaped(note))));
    if !report.metrics.is_empty() {
        let row = |(name, value): &(String, f64)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(&digits(*value)))
        };
        out.push_str(&format!("<dl>\n{}</dl>\n", report.metrics.iter().map(row).collect::<String>()));
    }
    if !report.curves.is_empty() {
        out.push_str("<h2>Curves</h2>\n");
    }
    for Curves { title, axes, series } in &report.curves {
        figure(&mut out, title, &curve::drawn(title, axes, series)?)?;
    }
    if let Some(matrix) = &report.confusion {
        let drawing = confusion::drawn("Confusion matrix", matrix, &report.classes)?;
        out.push_str("<h2>Classes</h2>\n");
        figure(&mut out, "Confusion matrix", &drawing)?;
    }
    if !report.roc.is_empty() {
        out.push_str("<h2>ROC</h2>\n");
        let series: Vec<(&String, &RocAuc)> = report.roc.iter().map(|(name, auc)| (name, auc)).collect();
        figure(&mut out, "ROC curves", &ranking::ranked("ROC", &series)?)?;
    }
    if let Some(error) = &report.calibration {
        out.push_str("<h2>Calibration</h2>\n");
        figure(&mut out, "Calibration curve", &ranking::calibrated("Calibration", &[("model", error)])?)?;
    }
    let cells = |(name, value): &(String, String)| vec![name.clone().into(), value.clone().into()];
    let rows: Vec<Vec<Cell>> = report.settings.iter().map(cells).collect();
    let settings = ReportTable { title: "Settings".into(), head: Vec::new(), rows };
    for part in report.tables.iter().chain((!settings.rows.is_empty()).then_some(&settings)) {
        table(&mut out, part)?;
    }
    if !report.summary.is_empty() {
        out.push_str(&format!("<h2>Model</h2>\n<pre>{}</pre>\n", escaped(&report.summary)));
    }
    out.push_str("</body>\n</html>\n");
    Ok(out)
}

fn table(out: &mut String, table: &ReportTable) -> Result<()> {
    out.push_str(&format!("<h2>{}</h2>\n<div class=\"scroll\"><table>\n", escaped(&table.title)));
    if !table.head.is_empty() {
        let names = table.head.iter().map(|name| format!("<th scope=\"col\">{}</th>", escaped(name)));
        out.push_str(&format!("<tr>{}</tr>\n", names.collect::<String>()));
    }
    for row in &table.rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            out.push_str(&match cell {
                Cell::Text(text) if i == 0 => format!("<th scope=\"row\">{}</th>", escaped(text)),
                Cell::Text(text) => format!("<td>{}</td>", escaped(text)),
                Cell::Bar(share) => {
                    let percent = 100.0 * share.clamp(0.0, 1.0);
                    format!("<td class=\"bar\"><div style=\"width: {percent:.1}%\"></div></td>")
                }
                Cell::Image(image) => {
                    let one = image.unsqueeze(0)?;
                    let mut tiles = grid::tiles(&one)?.1;
                    let (width, pixels) = tiles.next().expect("one image is one tile")?;
                    let name = table.head.get(i).map_or("image", String::as_str);
                    format!("<td><img alt=\"{}\" src=\"{}\"></td>", escaped(name), data_url(width, &pixels)?)
                }
            });
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    Ok(())
}

/// A plot with its name for screen readers.
fn figure(out: &mut String, name: &str, drawing: &Drawing) -> Result<()> {
    let picture = document(drawing)?;
    out.push_str(&format!("<div role=\"img\" aria-label=\"{}\">\n{picture}</div>\n", escaped(name)));
    Ok(())
}

/// Four digits of a number from 0.1 to 1, three of another.
fn digits(x: f64) -> String {
    if (0.1..1.0).contains(&x) { format!("{x:.4}") } else { three_digits(x) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn full() -> Result<Report> {
        let mut matrix = ConfusionMatrix::new();
        let classes = Tensor::new(&[0u32, 1, 1], &Device::Cpu)?;
        crate::metrics::Metric::update(&mut matrix, &classes, &classes)?;
        let scores = Tensor::new(&[[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]], &Device::Cpu)?;
        let (mut auc, mut calibration) = (RocAuc::new(), CalibrationError::new(10));
        crate::metrics::Metric::update(&mut auc, &scores, &classes)?;
        crate::metrics::Metric::update(&mut calibration, &scores, &classes)?;
        let image = Tensor::new(&[[[0.0_f32, 1.0]], [[0.0, 1.0]], [[1.0, 1.0]]], &Device::Cpu)?; // blue, white
        let series = vec![("<training>".to_string(), vec![(1.0, 0.9), (2.0, 0.4)])];
        Ok(Report {
            title: "<script>alert(1)</script>".into(),
            metrics: vec![("accuracy & more".into(), 0.93456), ("loss".into(), f64::NAN)],
            settings: vec![("\"rate\"".into(), "<0.01>".into())],
            summary: "Layer  <b>".into(),
            curves: vec![Curves { title: "Loss".into(), axes: Axes::new("epoch", "loss").log_y(), series }],
            confusion: Some(matrix),
            classes: vec!["cat".into(), "dog".into()],
            notes: vec!["1 < 2".into()],
            roc: vec![("dog".into(), auc)],
            calibration: Some(calibration),
            tables: vec![ReportTable {
                title: "Wrong & right".into(),
                head: ["image", "true", ""].map(String::from).into(),
                rows: vec![
                    vec![Cell::Image(image), "<cat>".into(), Cell::Bar(0.25)],
                    vec!["no".into(), Cell::Bar(-1.0)],
                ],
            }],
        })
    }

    #[test]
    fn the_page_is_complete_and_loads_nothing() -> Result<()> {
        let page = page(&full()?)?;
        for part in [
            "<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>",
            "<dt>accuracy &amp; more</dt><dd>0.9346</dd>",
            "<dd>NaN</dd>",
            "<th scope=\"row\">&quot;rate&quot;</th><td>&lt;0.01&gt;</td>",
            "<pre>Layer  &lt;b&gt;</pre>",
            ">&lt;training&gt;</text>",
            ">dog</text>",
            "3 of 3 right",
            "<p>1 &lt; 2</p>",
            ">dog (1.000)</text>",
            ">model (off by 0.333)</text>",
            "<h2>Wrong &amp; right</h2>",
            "<th scope=\"col\">image</th><th scope=\"col\">true</th>",
            "<td>&lt;cat&gt;</td><td class=\"bar\"><div style=\"width: 25.0%\"></div></td>",
            "<th scope=\"row\">no</th><td class=\"bar\"><div style=\"width: 0.0%\">",
            "<td><img alt=\"image\" src=\"data:image/png;base64,",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert_eq!(page.matches("<svg").count(), 4);
        assert!(
            !page.contains("<script") && page.matches("src=").count() == page.matches("src=\"data:").count()
        );
        let links = page.matches("http").count();
        assert_eq!(links, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
        let bodies = |tag: &str| {
            (page.matches(&format!("<{tag}")).count(), page.matches(&format!("</{tag}>")).count())
        };
        for tag in
            ["div", "svg", "text", "table", "tr", "td", "pre", "dl", "dd", "h2", "html", "body", "style"]
        {
            assert_eq!(bodies(tag).0, bodies(tag).1, "{tag}");
        }
        Ok(())
    }

    #[test]
    fn empty_fields_are_left_out() -> Result<()> {
        let page = page(&Report::default())?;
        assert!(page.contains("<h1>Training</h1>\n</body>"), "{page}");
        let empty = Report { confusion: Some(ConfusionMatrix::new()), ..Report::default() };
        assert!(report("never.html", &empty).is_err());
        let rows = vec![vec![Cell::Image(Tensor::full(2.0, (3, 3), &Device::Cpu)?)]];
        let bright =
            Report { tables: vec![ReportTable { rows, ..ReportTable::default() }], ..Report::default() };
        assert!(report("never.html", &bright).is_err());
        assert!(matches!(report("no/such/place.html", &full()?), Err(Error::File { .. })));
        Ok(())
    }
}
