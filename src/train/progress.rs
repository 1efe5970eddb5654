//! [`Progress`]: how far a long job is, for a person to see.

#[cfg(feature = "progress")]
use std::io::IsTerminal;

/// How far a training run is: a bar with the latest message on a terminal, about ten plain lines elsewhere
/// (and everywhere without the feature `progress`).
///
/// ```
/// use tealight::train::Progress;
/// let mut progress = Progress::new(100);
/// for step in 0..100 {
///     progress.step(|| format!("loss {:.3}", 1.0 / (1.0 + step as f64)));
/// }
/// progress.finish();
/// ```
#[derive(Debug)]
pub struct Progress {
    total: u64,
    done: u64,
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// A job of `total` steps. It writes to standard error.
    pub fn new(total: u64) -> Self {
        #[cfg(feature = "progress")]
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = indicatif::ProgressBar::new(total);
            let style = indicatif::ProgressStyle::with_template(
                "{bar:40} {pos}/{len}  {msg}  {elapsed} (left: {eta})",
            );
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Progress {
            total,
            done: 0,
            #[cfg(feature = "progress")]
            bar,
        }
    }

    /// One step is done; `message` is asked for only if it will be shown.
    pub fn step(&mut self, message: impl FnOnce() -> String) {
        self.done += 1;
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.inc(1);
            return;
        }
        let tenth = (self.total / 10).max(1);
        if self.done.is_multiple_of(tenth) || self.done == self.total {
            eprintln!("{}/{}  {}", self.done, self.total, message());
        }
    }

    /// The job is done: the bar stays as it is.
    pub fn finish(self) {
        #[cfg(feature = "progress")]
        if let Some(bar) = self.bar {
            bar.abandon();
        }
    }
}
