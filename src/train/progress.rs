//! [`Progress`]: a progress bar.

#[cfg(feature = "progress")]
use std::io::IsTerminal;
use std::io::Write;
#[cfg(feature = "progress")]
use std::time::Duration;
use std::time::Instant;

/// The least time between two messages of a bar.
#[cfg(feature = "progress")]
const MESSAGE_INTERVAL: Duration = Duration::from_millis(50);

/// The progress of a long job, on standard error: a bar with the latest message on a terminal, about ten plain lines elsewhere
/// (and everywhere without the feature `progress`).
///
/// ```
/// # use tealight::train::Progress;
/// let (mut progress, mut messages) = (Progress::new(1000), 0);
/// for step in 0..1000 {
///     progress.step(|| { messages += 1; format!("step {step}") });
/// }
/// progress.finish();
/// assert!(messages < 100); // formatted only when shown
/// ```
#[derive(Debug)]
#[doc(alias = "tqdm")]
pub struct Progress {
    total: u64,
    done: u64,
    /// The steps that were done at the start.
    first: u64,
    started: Instant,
    #[cfg(feature = "progress")]
    shown: Option<Instant>,
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// A job of `total` steps.
    pub fn new(total: u64) -> Self {
        #[cfg(feature = "progress")]
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = indicatif::ProgressBar::new(total);
            let template = "{bar:40} {pos}/{len}  {msg}  {elapsed} (left: {eta})";
            let style = indicatif::ProgressStyle::with_template(template).expect("the template is valid");
            bar.with_style(style)
        });
        Progress {
            total,
            done: 0,
            first: 0,
            started: Instant::now(),
            #[cfg(feature = "progress")]
            shown: None,
            #[cfg(feature = "progress")]
            bar,
        }
    }

    /// Starts after `done` steps that were taken before, which do not count in the time left.
    #[must_use]
    pub fn after(mut self, done: u64) -> Self {
        (self.done, self.first) = (done, done);
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.reset_eta();
        }
        self
    }

    /// Counts a step. `message` is called only if it is shown.
    pub fn step(&mut self, message: impl FnOnce() -> String) {
        self.done = self.done.saturating_add(1);
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            if self.done >= self.total || self.shown.is_none_or(|shown| shown.elapsed() >= MESSAGE_INTERVAL) {
                bar.set_message(message());
                bar.set_position(self.done);
                self.shown = Some(Instant::now());
            }
            return;
        }
        let tenth = (self.total / 10).max(1);
        if self.done.is_multiple_of(tenth) || self.done == self.total {
            // Not `eprintln!`, which panics when standard error is closed.
            let _ =
                writeln!(std::io::stderr(), "{}/{}  {}  {}", self.done, self.total, message(), self.time());
        }
    }

    /// The time so far and the time left.
    fn time(&self) -> String {
        let (elapsed, steps) = (self.started.elapsed().as_secs_f64(), self.done.saturating_sub(self.first));
        let left = elapsed / steps.max(1) as f64 * self.total.saturating_sub(self.done) as f64;
        format!("{elapsed:.1} s (left: {left:.1} s)")
    }

    /// Ends the bar, which stays on the screen.
    pub fn finish(self) {
        #[cfg(feature = "progress")]
        if let Some(bar) = self.bar {
            bar.abandon();
        }
    }
}
