//! [`Progress`]: how far a long job is, for a person to see.

#[cfg(feature = "progress")]
use std::io::IsTerminal;
use std::io::Write;
#[cfg(feature = "progress")]
use std::time::Duration;
use std::time::Instant;

/// How often a bar is given a new message.
#[cfg(feature = "progress")]
const OFTEN: Duration = Duration::from_millis(50);

/// How far a training run is: a bar with the latest message on a terminal, about ten plain lines elsewhere
/// (and everywhere without the feature `progress`).
///
/// ```
/// use tealight::train::Progress;
/// let mut progress = Progress::new(100);
/// for step in 0..100 {
///     progress.step(|| format!("loss {:.3}", 1.0 / (1.0 + step as f64)));
/// }
/// assert!(format!("{progress:?}").contains("total: 100, done: 100"));
/// progress.finish();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "tqdm")]
pub struct Progress {
    total: u64,
    done: u64,
    /// What was done when it began.
    first: u64,
    started: Instant,
    #[cfg(feature = "progress")]
    shown: Option<Instant>,
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// A job of `total` steps. It writes to standard error.
    ///
    /// ```
    /// use tealight::train::Progress;
    /// assert!(format!("{:?}", Progress::new(10)).contains("total: 10, done: 0"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
            first: 0,
            started: Instant::now(),
            #[cfg(feature = "progress")]
            shown: None,
            #[cfg(feature = "progress")]
            bar,
        }
    }

    /// The same for a job that goes on: `done` steps were taken before.
    ///
    /// ```
    /// use tealight::train::Progress;
    /// let progress = Progress::new(10).after(4); // the time left is that of 6 steps
    /// assert!(format!("{progress:?}").contains("done: 4, first: 4"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

    /// One step is done; `message` is asked for only if it will be shown.
    ///
    /// ```
    /// use tealight::train::Progress;
    /// let (mut progress, mut asked) = (Progress::new(1000), 0);
    /// for step in 0..1000 {
    ///     progress.step(|| {
    ///         asked += 1;
    ///         format!("step {step}")
    ///     });
    /// }
    /// assert!(asked < 100);
    /// ```
    pub fn step(&mut self, message: impl FnOnce() -> String) {
        self.done = self.done.saturating_add(1);
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            if self.done >= self.total || self.shown.is_none_or(|shown| shown.elapsed() >= OFTEN) {
                bar.set_message(message());
                bar.set_position(self.done);
                self.shown = Some(Instant::now());
            }
            return;
        }
        let tenth = (self.total / 10).max(1);
        if self.done.is_multiple_of(tenth) || self.done == self.total {
            // Not `eprintln!`, which panics where nobody reads standard error any more.
            let _ =
                writeln!(std::io::stderr(), "{}/{}  {}  {}", self.done, self.total, message(), self.time());
        }
    }

    /// How long it took so far, and how long it will take.
    fn time(&self) -> String {
        let (elapsed, steps) = (self.started.elapsed().as_secs_f64(), self.done.saturating_sub(self.first));
        let left = elapsed / steps.max(1) as f64 * self.total.saturating_sub(self.done) as f64;
        format!("{elapsed:.1} s (left: {left:.1} s)")
    }

    /// The job is done: the bar stays as it is.
    ///
    /// ```
    /// use tealight::train::Progress;
    /// let (mut progress, mut shown) = (Progress::new(25), 0);
    /// for step in 1..=25 {
    ///     progress.step(|| {
    ///         shown = step;
    ///         format!("step {step}")
    ///     });
    /// }
    /// progress.finish();
    /// assert_eq!(shown, 25); // the message of the last step stays
    /// ```
    pub fn finish(self) {
        #[cfg(feature = "progress")]
        if let Some(bar) = self.bar {
            bar.abandon();
        }
    }
}
