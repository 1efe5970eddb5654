//! [`report`]: a training run as an HTML page.

use std::path::Path;

use super::curve::{self, Axes};
use super::histogram::three_digits;
use super::svg::{document, escaped};
use super::{confusion, drawing::Drawing};
use crate::error::Result;
use crate::file::replace;
use crate::metrics::ConfusionMatrix;

/// The contents of a [`report`]. Empty fields are left out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The heading. Default: `Training`.
    pub title: String,
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
    /// The names of the classes. Default: their numbers.
    pub classes: Vec<String>,
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
svg { max-width: 100%; height: auto; display: block }";

/// Writes an HTML page on a training run: results, curves, confusion matrix, settings and model.
///
/// The page is one file with the plots in it as SVG. It has no scripts and loads nothing.
///
/// # Errors
/// As [`curve`](super::curve()) and [`confusion_matrix`](super::confusion_matrix()).
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
    if !report.settings.is_empty() {
        let row = |(name, value): &(String, String)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value))
        };
        let rows: String = report.settings.iter().map(row).collect();
        out.push_str(&format!("<h2>Settings</h2>\n<table>\n{rows}</table>\n"));
    }
    if !report.summary.is_empty() {
        out.push_str(&format!("<h2>Model</h2>\n<pre>{}</pre>\n", escaped(&report.summary)));
    }
    out.push_str("</body>\n</html>\n");
    Ok(out)
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
        let series = vec![("<training>".to_string(), vec![(1.0, 0.9), (2.0, 0.4)])];
        Ok(Report {
            title: "<script>alert(1)</script>".into(),
            metrics: vec![("accuracy & more".into(), 0.93456), ("loss".into(), f64::NAN)],
            settings: vec![("\"rate\"".into(), "<0.01>".into())],
            summary: "Layer  <b>".into(),
            curves: vec![Curves { title: "Loss".into(), axes: Axes::new("epoch", "loss").log_y(), series }],
            confusion: Some(matrix),
            classes: vec!["cat".into(), "dog".into()],
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
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(!page.contains("<script") && !page.contains("src="));
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
        assert!(matches!(report("no/such/place.html", &full()?), Err(Error::File { .. })));
        Ok(())
    }
}
