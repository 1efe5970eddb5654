//! `tealight train --watch`: a page that shows a training while it runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};
use tealight::train::{Callback, CallbackContext};
use tokio::runtime::Runtime;

use super::answers::picture;
use super::server::{self, Limits, Response, Site, response};
use crate::failure::{Failure, Result};
use crate::inputs::Examples;
use crate::model::Model;
use crate::scores::Scores;

/// How often the state is told, at most.
const PAUSE: Duration = Duration::from_millis(200);
/// A window asks more often than this, twice a second, or once if it is hidden.
const OPEN: Duration = Duration::from_secs(3);
/// Wrong pictures that are shown.
const SHOWN: usize = 6;

/// The page of a training, until it is dropped.
pub(crate) struct Watch {
    page: Arc<Page>,
    runtime: Option<Runtime>,
    pub(crate) address: String,
}

#[derive(Default)]
struct Page(Mutex<State>);

#[derive(Default)]
struct State {
    /// What `/state.json` answers.
    now: Value,
    /// What `/worst.json` answers.
    worst: Value,
    /// When the page last asked.
    asked: Option<Instant>,
    /// Whether to stop.
    stop: bool,
}

/// One of the trainings of a command: a fold, or the only one.
pub(crate) struct Stage<'a> {
    /// `fold 1 of 5`; empty for the only one.
    pub(crate) name: &'a str,
    pub(crate) epochs: u64,
    pub(crate) steps_per_epoch: u64,
    /// How many such trainings follow.
    pub(crate) later: u64,
    pub(crate) model: &'a Model,
    pub(crate) valid: Option<&'a Examples>,
    /// Whether the model gets the weights of the best epoch, and not those of the last.
    pub(crate) keeps_best: bool,
}

impl Page {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panics while it has the state")
    }

    /// Whether somebody looks.
    fn is_open(&self) -> bool {
        self.state().asked.is_some_and(|asked| asked.elapsed() < OPEN)
    }
}

impl Watch {
    /// Serves the page on a free port of loopback.
    pub(crate) fn start() -> Result<Self> {
        let listener = server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr().map_err(|error| {
            Failure::Message(format!("--watch: expected an address to listen on, got: {error}"))
        })?;
        let limits = Limits {
            hosts: Vec::new(),
            max_bytes: 1024,
            timeout: Duration::from_secs(30),
            max_connections: 32,
        };
        let (page, runtime) = (Arc::new(Page::default()), server::runtime(1)?);
        page.state().now = json!({});
        runtime.spawn(server::serve(listener, page.clone(), limits, std::future::pending()));
        Ok(Watch { page, runtime: Some(runtime), address: format!("http://{address}/") })
    }

    /// Whether the page asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.page.state().stop
    }

    /// Tells the page how the training ended; without this, it ended with an error.
    pub(crate) fn finish(&self, summary: &str) {
        self.page.state().now["summary"] = summary.into();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.page.state().now["done"] = true.into();
        if self.page.is_open() {
            // So that every window asks once more.
            std::thread::sleep(OPEN / 2);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PAUSE);
        }
    }
}

/// Tells the page of a training. Without a page it does nothing; it is there so that a checkpoint fits a training with and without.
pub(crate) struct Teller<'a> {
    watch: Option<&'a Watch>,
    stage: Stage<'a>,
    start: Instant,
    last: Option<Instant>,
    /// Steps that an earlier training took.
    first_step: u64,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(watch: Option<&'a Watch>, stage: Stage<'a>) -> Self {
        Teller { watch, stage, start: Instant::now(), last: None, first_step: 0 }
    }

    fn tell(&mut self, watch: &Watch, ctx: &CallbackContext) {
        self.last = Some(Instant::now());
        let number = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
        let names = ctx.history.records().last().into_iter().flat_map(|record| record.scores.names());
        let curve = |name: &str| {
            let points = ctx.history.curve(name);
            (name.to_string(), points.into_iter().map(|(_, y)| number(y)).collect::<Value>())
        };
        let Stage { name, epochs, steps_per_epoch, later, keeps_best, .. } = self.stage;
        let steps = epochs.saturating_mul(steps_per_epoch);
        let mut state = watch.page.state();
        state.now = json!({
            "stage": name,
            "keeps_best": keeps_best,
            "epochs": epochs,
            "epoch": ctx.epoch,
            "loss": number(ctx.loss),
            "rate": number(ctx.optimizer.learning_rate()),
            "seconds": self.start.elapsed().as_secs_f64(),
            "steps_here": ctx.step - self.first_step,
            "steps_left": steps.saturating_sub(ctx.step).saturating_add(steps.saturating_mul(later)),
            "curves": names.map(curve).collect::<Map<_, _>>(),
            "stopping": state.stop,
            "worst": state.worst["epoch"],
        });
    }

    /// Shows the pictures that the model has most wrong, if the page is open.
    fn show_worst(&self, watch: &Watch, epoch: u64) -> Result<()> {
        let Stage { name, model, valid: Some(valid), .. } = self.stage else { return Ok(()) };
        if !watch.page.is_open() || !model.plan.of_images() {
            return Ok(());
        }
        let mut worst = Vec::new();
        for (i, [truth, answer, probability]) in
            Scores::new(&[(model, valid)])?.mistakes()?.into_iter().take(SHOWN)
        {
            let input = valid.inputs.narrow(0, i, 1)?;
            worst.push(json!({
                "name": valid.names[i],
                "true": truth,
                "answer": answer,
                "probability": probability,
                "picture": picture(&input, &model.saliency(&input)?)?,
            }));
        }
        watch.page.state().worst = json!({"epoch": format!("{name} {epoch}"), "worst": worst});
        Ok(())
    }
}

impl Callback for Teller<'_> {
    fn on_train_begin(&mut self, ctx: &mut CallbackContext) -> tealight::Result<()> {
        (self.start, self.first_step) = (Instant::now(), ctx.step);
        self.watch.into_iter().for_each(|watch| self.tell(watch, ctx));
        Ok(())
    }

    fn on_step_end(&mut self, ctx: &mut CallbackContext) -> tealight::Result<()> {
        let Some(watch) = self.watch else { return Ok(()) };
        if self.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.tell(watch, ctx);
        }
        // The weights in the middle of an epoch are given up for those of the best; otherwise the epoch is finished first.
        if watch.stopped() && self.stage.keeps_best && !ctx.history.is_empty() {
            ctx.stop();
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, ctx: &mut CallbackContext) -> tealight::Result<()> {
        let Some(watch) = self.watch else { return Ok(()) };
        self.show_worst(watch, ctx.epoch).map_err(|error| match error {
            Failure::Library(error) => error,
            error => unreachable!("scores of a model fail with errors of the library, not with {error:?}"),
        })?;
        self.tell(watch, ctx);
        if watch.stopped() {
            ctx.stop();
        }
        Ok(())
    }
}

impl Site for Page {
    async fn answer(&self, request: Request<Incoming>, _: &Limits) -> Response {
        let json = |value: &Value| server::json_response(StatusCode::OK, value);
        let page = match request.uri().path() {
            "/" => Some(response("text/html; charset=utf-8", include_str!("watch.html"))),
            "/watch.js" => Some(response("text/javascript; charset=utf-8", include_str!("watch.js"))),
            "/common.js" => Some(response("text/javascript; charset=utf-8", include_str!("common.js"))),
            "/page.css" => Some(response("text/css; charset=utf-8", include_str!("page.css"))),
            "/state.json" => {
                let mut state = self.state();
                state.asked = Some(Instant::now());
                Some(json(&state.now))
            }
            "/worst.json" => Some(json(&self.state().worst)),
            _ => None,
        };
        match page {
            Some(page) if server::is_get(&request) => page,
            Some(_) => server::unknown(&request, Some("GET, HEAD")),
            None if request.uri().path() != "/stop" => server::unknown(&request, None),
            None if request.method() != Method::POST => server::unknown(&request, Some("POST")),
            None => {
                let mut state = self.state();
                state.stop = true;
                state.now["stopping"] = true.into();
                json(&json!({"stopping": true}))
            }
        }
    }
}
