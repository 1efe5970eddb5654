//! `tealight serve`: a model in the browser, and for other programs over HTTP. And the page of `tealight train --watch`.

#![allow(clippy::result_large_err)] // the error of a request is its answer

mod answers;
mod description;
mod server;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::failure::{Result, note, print};
use super::model::Model;
use super::options::Serve;
use answers::Query;
use server::{Limits, Response, Site, response};

pub(super) use watch::{Stage, Teller, Watch};

/// Larger bodies are computed beside the threads that serve.
const SMALL: usize = 64 << 10;

pub(super) fn run(options: &Serve) -> Result<()> {
    let model = Model::read(&options.model)?;
    let mut address = options.listen;
    address.set_port(options.port.unwrap_or(address.port()));
    let listener = server::bind(address)?;
    let address = listener.local_addr().unwrap_or(address);
    let limits = Limits {
        hosts: options.host.clone(),
        max_bytes: options.max_bytes,
        timeout: Duration::from_secs(options.timeout),
        max_connections: options.max_connections,
    };
    print(&format!("{} is at http://{address}/ (Ctrl-C ends it)\n", options.model.display()))?;
    if !address.ip().is_loopback() {
        note("everyone who can reach this machine can use the model");
    }
    let model = Arc::new(answers::Served::new(model));
    let description = description::of_model(&model.model, &limits);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let site = ModelSite {
        api: description::openapi(&description).to_string(),
        description: description.to_string(),
        model,
        jobs: Arc::new(Semaphore::new(threads)),
    };
    let runtime = server::runtime(threads)?;
    let done = runtime.block_on(server::serve(listener, Arc::new(site), limits, server::interrupted()));
    // A computation that still runs is not waited for.
    runtime.shutdown_background();
    done
}

struct ModelSite {
    model: Arc<answers::Served>,
    /// JSON.
    description: String,
    api: String,
    /// Large requests that are computed at a time.
    jobs: Arc<Semaphore>,
}

impl Site for ModelSite {
    async fn answer(&self, request: Request<Incoming>, limits: &Limits) -> Response {
        let path = request.uri().path();
        let page = match path {
            "/" => Some(response("text/html; charset=utf-8", include_str!("page.html"))),
            "/common.js" => Some(response("text/javascript; charset=utf-8", include_str!("common.js"))),
            "/page.js" => Some(response("text/javascript; charset=utf-8", include_str!("page.js"))),
            "/page.css" => Some(response("text/css; charset=utf-8", include_str!("page.css"))),
            "/docs" => Some(response("text/html; charset=utf-8", include_str!("docs.html"))),
            "/docs.js" => Some(response("text/javascript; charset=utf-8", include_str!("docs.js"))),
            "/model.json" => Some(response("application/json", self.description.clone())),
            "/openapi.json" => Some(response("application/json", self.api.clone())),
            "/health" => Some(server::json_response(StatusCode::OK, &json!({"status": "ok"}))),
            _ => None,
        };
        match page {
            Some(page) if server::is_get(&request) => page,
            Some(_) => server::unknown(&request, Some("GET, HEAD")),
            None if path != "/predict" => server::unknown(&request, None),
            None if request.method() != hyper::Method::POST => server::unknown(&request, Some("POST")),
            None => self.predict(request, limits).await.unwrap_or_else(|response| response),
        }
    }
}

impl ModelSite {
    async fn predict(&self, request: Request<Incoming>, limits: &Limits) -> Result<Response, Response> {
        let query = Query::of(&request)?;
        let body = server::body(request, limits).await?;
        if body.len() <= SMALL && query.is_json() {
            return Ok(self.model.answer(&query, &body));
        }
        let (jobs, model) = (self.jobs.clone(), self.model.clone());
        let job = async move {
            let permit = jobs.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let answer = model.answer(&query, &body);
                drop(permit);
                answer
            })
            .await
        };
        match tokio::time::timeout(limits.timeout, job).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(server::failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "expected an answer, got a fault of tealight",
            )),
            Err(_) => {
                let expected = format!("expected an answer within {} (--timeout)", limits.seconds());
                Err(server::failure(StatusCode::SERVICE_UNAVAILABLE, expected))
            }
        }
    }
}

/// A number with few digits, for people.
fn short(x: f64) -> Value {
    format!("{x:.4e}").parse::<f64>().map_or(Value::Null, Value::from)
}
