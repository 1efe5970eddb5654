//! A training run on one page.

use std::fmt::Write;
use std::path::Path;

use super::curve::{self, Axes};
use super::histogram::three_digits;
use super::svg::{document, escaped};
use super::{confusion, drawing::Drawing};
use crate::error::Result;
use crate::file::replace;
use crate::metrics::ConfusionMatrix;

/// What stands on the page of [`report`]; what is empty is left out.
///
/// ```
/// use tealight::plot::{Report, report};
/// let path = std::env::temp_dir().join("tealight-doc-plot-report.html");
/// let metrics = vec![("accuracy".to_string(), 0.93456)];
/// report(&path, &Report { title: "Digits".into(), metrics, ..Report::default() })?;
/// let page = std::fs::read_to_string(&path).unwrap();
/// assert!(page.contains("<h1>Digits</h1>") && page.contains("<dd>0.9346</dd>"));
/// assert!(!page.contains("<h2>")); // no curves, no settings, no model
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What the page is about.
    pub title: String,
    /// Numbers to see first, with their names.
    pub metrics: Vec<(String, f64)>,
    /// How the run was set up: names and values.
    pub settings: Vec<(String, String)>,
    /// The model as text, as [`Summary`](crate::layer::Summary) prints it.
    pub summary: String,
    /// Pictures of curves, one under the other.
    pub curves: Vec<Curves>,
    /// Which class was taken for which.
    pub confusion: Option<ConfusionMatrix>,
    /// The names of the classes, or none.
    pub classes: Vec<String>,
}

/// A picture as [`curve_on`](super::curve_on) draws it.
///
/// ```
/// use tealight::plot::{Axes, Curves, Report, report};
/// let path = std::env::temp_dir().join("tealight-doc-plot-curves.html");
/// let series = vec![("training".to_string(), vec![(1.0, 0.9), (2.0, 0.4)])];
/// let loss = Curves { title: "Loss".into(), axes: Axes::new("epoch", "nats").log_y(), series };
/// report(&path, &Report { curves: vec![loss], ..Report::default() })?;
/// let page = std::fs::read_to_string(&path).unwrap();
/// assert_eq!(page.matches("<svg").count(), 1);
/// assert!(page.contains(">epoch</text>") && page.contains(">nats</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Curves {
    /// What stands above it.
    pub title: String,
    /// What is written beside the axes.
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

/// Writes a page of HTML on a training run: its numbers, curves, confusion matrix, settings and model.
///
/// The page is one file, with the pictures in it as SVG. It has no scripts, and asks for nothing from elsewhere.
///
/// # Errors
/// What [`curve`](super::curve()) or [`confusion`](super::confusion()) cannot draw; a file that cannot be written.
///
/// ```
/// use tealight::plot::{Axes, Curves, Report, report};
/// let path = std::env::temp_dir().join("tealight-doc-report-fn.html");
/// let loss = vec![("training".to_string(), vec![(1.0, 0.9), (2.0, 0.4), (3.0, 0.25)])];
/// report(&path, &Report {
///     title: "Digits".into(),
///     metrics: vec![("accuracy".into(), 0.93)],
///     settings: vec![("learning rate".into(), "0.01".into())],
///     curves: vec![Curves { title: "Loss".into(), axes: Axes::new("epoch", "loss"), series: loss }],
///     ..Report::default()
/// })?;
/// let page = std::fs::read_to_string(&path).unwrap();
/// assert!(page.contains("<dt>accuracy</dt><dd>0.9300</dd>") && page.contains("<td>0.01</td>"));
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

/// A picture with its name for those who do not see it.
fn figure(out: &mut String, name: &str, drawing: &Drawing) -> Result<()> {
    let picture = document(drawing)?;
    let _ = writeln!(out, "<div role=\"img\" aria-label=\"{}\">\n{picture}</div>", escaped(name));
    Ok(())
}

/// Four digits of a share, three of another number.
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
    fn the_page_is_whole_and_asks_for_nothing() -> Result<()> {
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
    fn what_is_empty_is_left_out() -> Result<()> {
        let page = page(&Report::default())?;
        assert!(page.contains("<h1>Training</h1>\n</body>"), "{page}");
        let empty = Report { confusion: Some(ConfusionMatrix::new()), ..Report::default() };
        assert!(report("never.html", &empty).is_err());
        assert!(matches!(report("no/such/place.html", &full()?), Err(Error::File { .. })));
        Ok(())
    }
}
