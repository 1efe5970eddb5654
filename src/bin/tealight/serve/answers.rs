//! `POST /predict`: from the body of a request to the body of its answer.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::{Display, Write};
use std::path::Path;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode, header};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tealight::data::{TableSchema, TableValue};
use tealight::prelude::*;
use tealight::program::{Compiled, compile};

use super::server::{Response, failure, response};
use crate::failure::{Failure, Result, counted, one_line};
use crate::inputs::{Inputs, Pictures};
use crate::model::Model;
use crate::options::{Form, Predict};
use crate::predict::{Answer, Answers, Object, Quoted, answers, predictions, problem, too_far};

/// A model with what each request needs of it.
pub(super) struct Served {
    pub(super) model: Arc<Model>,
    /// The names of the columns of a table.
    columns: Vec<String>,
}

thread_local! {
    /// The model's program for one example, as most requests have.
    static ONE: RefCell<Option<Compiled<'static, 1>>> = const { RefCell::new(None) };
}

/// Rows in the order of the columns, of numbers alone.
#[derive(Deserialize)]
struct Numbers {
    rows: Vec<Vec<f64>>,
}

/// What a request asks for, beside its body.
pub(super) struct Query {
    content: Content,
    /// For images: add what the model sees and looks at.
    saliency: bool,
    /// For CSV: repeat the columns.
    keep: bool,
    /// The answer as CSV.
    csv: bool,
}

enum Content {
    Json,
    Csv,
    Image,
    /// With its boundary.
    Multipart(String),
}

/// What is wrong with a request.
type Refusal = (StatusCode, String);

fn refuse<T>(status: StatusCode, text: impl Into<String>) -> Result<T, Refusal> {
    Err((status, text.into()))
}

impl Query {
    pub(super) fn of(request: &Request<Incoming>) -> Result<Self, Response> {
        let text =
            |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = text(header::CONTENT_TYPE);
        let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        let essence = essence.trim().to_ascii_lowercase();
        let boundary = || {
            let boundary = parameters.split(';').find_map(|parameter| {
                let (name, value) = parameter.trim().split_once('=')?;
                name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"').to_string())
            });
            boundary.filter(|boundary| !boundary.is_empty())
        };
        let content = match essence.as_str() {
            "application/json" => Content::Json,
            "text/csv" | "text/tab-separated-values" | "application/vnd.ms-excel" | "text/plain" => {
                Content::Csv
            }
            "multipart/form-data" => Content::Multipart(boundary().ok_or_else(|| {
                failure(StatusCode::BAD_REQUEST, format!("Content-Type: expected a boundary, got {kind:?}"))
            })?),
            "application/octet-stream" => Content::Image,
            kind if kind.starts_with("image/") => Content::Image,
            _ => {
                let expected =
                    "application/json, text/csv, an image such as image/png, or multipart/form-data";
                let text = format!("Content-Type: expected {expected}, got {essence:?}");
                return Err(failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
            }
        };
        let flag = |name: &str| {
            let query = request.uri().query().unwrap_or_default();
            query
                .split('&')
                .any(|pair| matches!(pair.split_once('='), Some((key, "true" | "1")) if key == name))
        };
        let csv = text(header::ACCEPT).split(',').any(|kind| kind.trim().starts_with("text/csv"));
        Ok(Query { content, saliency: flag("saliency"), keep: flag("keep"), csv })
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self.content, Content::Json)
    }
}

impl Served {
    pub(super) fn new(model: Model) -> Self {
        let columns = match &model.plan.inputs {
            Inputs::Table(schema) => schema.columns().iter().map(|column| column.name.to_string()).collect(),
            Inputs::Images(_) => Vec::new(),
        };
        Served { model: Arc::new(model), columns }
    }

    /// The predictions for inputs (n, …).
    fn predictions(&self, inputs: &Tensor) -> Result<Vec<Answer<'_>>> {
        if inputs.dims()[0] != 1 {
            return predictions(&self.model, inputs);
        }
        let scores = ONE.with_borrow_mut(|program| {
            let model = self.model.clone();
            let program = program.get_or_insert_with(|| {
                compile(move |[x]: [&Tensor; 1]| {
                    let outputs = model.net.predict(x)?;
                    if model.plan.classes.is_empty() { Ok(outputs) } else { outputs.softmax(1) }
                })
            });
            program.call([inputs])
        });
        answers(&self.model, &scores?)
    }

    /// The answer to a request with this body.
    pub(super) fn answer(&self, query: &Query, body: &[u8]) -> Response {
        let done = match (&self.model.plan.inputs, &query.content) {
            (Inputs::Table(schema), Content::Json) => self.rows(schema, body),
            (Inputs::Table(schema), Content::Csv) => self.table(schema, query, "table.csv", body),
            (Inputs::Table(schema), Content::Multipart(boundary)) => match &files(body, boundary)[..] {
                [(name, bytes)] => self.table(schema, query, name, bytes),
                files => refuse(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    format!("expected one file, got {}", files.len()),
                ),
            },
            (Inputs::Images(_), Content::Json) => self.numbers(query, body),
            (Inputs::Images(pictures), Content::Image) => {
                self.images(pictures, query, &[("image".into(), body)])
            }
            (Inputs::Images(pictures), Content::Multipart(boundary)) => {
                self.images(pictures, query, &files(body, boundary))
            }
            (Inputs::Table(_), Content::Image) => refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected a row as application/json or a table as text/csv, got an image",
            ),
            (Inputs::Images(_), Content::Csv) => {
                refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected an image, got text")
            }
        };
        done.unwrap_or_else(|(status, text)| failure(status, text))
    }

    /// Rows as JSON: `{"rows": […]}`, a list of rows, or one row.
    fn rows(&self, schema: &TableSchema, body: &[u8]) -> Result<Response, Refusal> {
        // Without a tree of values, if it has nothing to say.
        if body.trim_ascii_start().starts_with(b"{")
            && let Ok(Numbers { rows }) = serde_json::from_slice(body)
            && !rows.is_empty()
            && !self.columns.iter().any(|name| name == "rows")
            && rows.iter().all(|row| row.len() == self.columns.len())
        {
            let encode = |row: Vec<f64>| {
                let values: Vec<TableValue> = row.into_iter().map(TableValue::Number).collect();
                schema.encode_values(&values).map_err(|error| plain(&error))
            };
            return self.encoded(schema, rows.into_iter().map(encode).collect());
        }
        let value = parse(body)?;
        let listed = value
            .get("rows")
            .filter(|rows| rows.is_array() && !self.columns.iter().any(|name| name == "rows"));
        let value = listed.unwrap_or(&value);
        let rows = match value.as_array() {
            Some(rows) if rows.iter().any(|row| row.is_array() || row.is_object()) => &rows[..],
            Some(rows) if rows.is_empty() => {
                return refuse(StatusCode::UNPROCESSABLE_ENTITY, "expected a row, got an empty list");
            }
            _ => std::slice::from_ref(value),
        };
        self.encoded(schema, rows.iter().map(|row| self.encode(schema, row)).collect())
    }

    /// The answer for rows as the model's inputs, or with what is wrong with them.
    fn encoded(
        &self,
        schema: &TableSchema,
        encoded: Vec<Result<Vec<f64>, String>>,
    ) -> Result<Response, Refusal> {
        let good = encoded.iter().flatten().count();
        if let (0, Some(Err(first))) = (good, encoded.first()) {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("row 1: {first}"));
        }
        let numbers: Vec<f64> = encoded.iter().flatten().flatten().copied().collect();
        let shape = (good, numbers.len() / good);
        let inputs = Tensor::from_vec(numbers, shape, &Device::Cpu).map_err(fault)?;
        let mut found = self.predictions(&inputs).map_err(fault)?.into_iter();
        let answers = encoded.iter().enumerate().map(|(i, row)| {
            let mut object = match row {
                Ok(row) => match found.next().expect("each good row has a prediction") {
                    answer if answer.is_finite() => self.json(&answer),
                    _ => refused(&too_far(schema, row)),
                },
                Err(text) => refused(text),
            };
            object.insert("row", i + 1);
            object
        });
        Ok(predicted(answers))
    }

    fn json(&self, answer: &Answer) -> Object {
        answer.json(&self.model.plan.classes)
    }

    /// The inputs of a row: values by name, or in the order of the columns.
    fn encode(&self, schema: &TableSchema, row: &Value) -> Result<Vec<f64>, String> {
        let lacks = |name: &str, row: &Map<String, Value>| {
            let got: Vec<&str> = row.keys().take(10).map(String::as_str).collect();
            format!("expected a value for {name:?} (null if it is missing), got {}", got.join(", "))
        };
        let values: Vec<TableValue> = match row {
            Value::Object(row) => {
                let value = |name: &String| cell(row.get(name).ok_or_else(|| lacks(name, row))?);
                self.columns.iter().map(value).collect::<Result<_, _>>()?
            }
            Value::Array(row) if row.len() == self.columns.len() => {
                row.iter().map(cell).collect::<Result<_, _>>()?
            }
            Value::Array(row) => {
                let expected = counted(self.columns.len(), "values");
                return Err(format!("expected {expected}, got {}", row.len()));
            }
            _ => return Err("expected an object or a list of values, got a single value".into()),
        };
        schema.encode_values(&values).map_err(|error| plain(&error))
    }

    /// A table as text.
    fn table(
        &self,
        schema: &TableSchema,
        query: &Query,
        name: &str,
        body: &[u8],
    ) -> Result<Response, Refusal> {
        // They could unpack to any size.
        for (start, kind) in [
            (&b"\x1f\x8b"[..], "a gzip file"),
            (b"PK", "a workbook or zip file"),
            (b"\xd0\xcf\x11\xe0", "a workbook"),
        ] {
            if body.starts_with(start) {
                return refuse(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    format!("{name}: expected a table as text (CSV), got {kind}"),
                );
            }
        }
        let unusable = |error: &Error| (StatusCode::UNPROCESSABLE_ENTITY, one_line(error));
        let table = schema.table_from_bytes(name, body).map_err(|error| unusable(&error))?;
        let options = Predict {
            model: Default::default(),
            files: Vec::new(),
            out: None,
            json: !query.csv,
            id: None,
            keep: query.keep,
            form: Form::default(),
        };
        let mut answers = Answers::new(&options, &self.model);
        answers.add_table(schema, Path::new(name), &table).map_err(|error| match error {
            Failure::Library(error) => unusable(&error),
            error => fault(error),
        })?;
        if query.csv {
            return Ok(response("text/csv; charset=utf-8", answers.csv().map_err(fault)?));
        }
        // A line is an object.
        Ok(predicted(answers.lines.lines()))
    }

    /// Pictures as nested numbers.
    fn numbers(&self, query: &Query, body: &[u8]) -> Result<Response, Refusal> {
        let value = parse(body)?;
        let value = value.get("images").unwrap_or(&value);
        let expected = self.model.plan.inputs.shape();
        let wrong = |text: String| {
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                format!(
                    "expected numbers from 0 to 1 of the shape [n, {}, {}, {}], got {text}",
                    expected[0], expected[1], expected[2]
                ),
            )
        };
        let (mut shape, mut numbers) = (Vec::new(), Vec::new());
        flatten(value, 0, &mut shape, &mut numbers).map_err(wrong)?;
        // Without n, and of one channel without this axis.
        let rest =
            if expected[0] == 1 && !shape.ends_with(&expected) { &expected[1..] } else { &expected[..] };
        let n = match shape.strip_suffix(rest) {
            Some([]) => 1,
            Some([n]) if *n > 0 => *n,
            _ => return Err(wrong(format!("the shape {shape:?}"))),
        };
        if let Some(x) = numbers.iter().find(|x| !(0.0..=1.0).contains(*x)) {
            return Err(wrong(format!("{x}")));
        }
        let dims: Vec<usize> = [n].into_iter().chain(expected.iter().copied()).collect();
        let inputs = Tensor::from_vec(numbers, dims, &Device::Cpu).map_err(fault)?;
        Ok(predicted(self.pictures(query, &inputs)?.into_iter()))
    }

    /// Pictures as files.
    fn images(
        &self,
        pictures: &Pictures,
        query: &Query,
        files: &[(Cow<str>, &[u8])],
    ) -> Result<Response, Refusal> {
        let reader = pictures.reader();
        let read: Vec<_> = files.par_iter().map(|(name, bytes)| reader.from_bytes(&**name, bytes)).collect();
        let found: Vec<&Tensor> = read.iter().flatten().collect();
        if found.is_empty() {
            let text = read
                .iter()
                .find_map(|image| image.as_ref().err())
                .map_or("expected an image, got none".into(), one_line);
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, text);
        }
        let inputs = Tensor::stack(&found, 0).map_err(fault)?;
        let mut answers = self.pictures(query, &inputs)?.into_iter();
        let named = read.iter().zip(files).map(|(image, (name, _))| {
            let mut object = match image {
                Ok(_) => answers.next().expect("each image that was read has an answer"),
                Err(error) => refused(&problem(error)),
            };
            object.insert("path", Quoted(name));
            object
        });
        Ok(predicted(named))
    }

    /// The answers for pictures (n, c, h, w).
    fn pictures(&self, query: &Query, inputs: &Tensor) -> Result<Vec<Object>, Refusal> {
        let answers = self.predictions(inputs).map_err(fault)?;
        let mut objects: Vec<_> = answers.iter().map(|answer| self.json(answer)).collect();
        if query.saliency {
            let saliency = self.model.saliency(inputs).map_err(fault)?;
            for (i, object) in objects.iter_mut().enumerate() {
                let picture = picture(
                    &inputs.narrow(0, i, 1).map_err(fault)?,
                    &saliency.narrow(0, i, 1).map_err(fault)?,
                );
                object.insert("picture", picture.map_err(fault)?);
            }
        }
        Ok(objects)
    }
}

fn cell(value: &Value) -> Result<TableValue<'_>, String> {
    match value {
        Value::Null => Ok(TableValue::Missing),
        Value::Number(x) => {
            Ok(TableValue::Number(x.as_f64().expect("serde_json keeps numbers as f64, i64 or u64")))
        }
        Value::String(text) => Ok(TableValue::Text(text)),
        Value::Bool(yes) => Ok(TableValue::Text(if *yes { "true" } else { "false" })),
        _ => Err("expected numbers, texts or null as values, got a list or an object".into()),
    }
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .or_else(|error| refuse(StatusCode::BAD_REQUEST, format!("expected JSON, got: {error}")))
}

/// The answer with a list of JSON objects.
fn predicted(objects: impl Iterator<Item = impl Display>) -> Response {
    let mut text = String::with_capacity(1024);
    text.push_str("{\"predictions\":[");
    for (i, object) in objects.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        write!(text, "{comma}{object}").expect("a String takes what is written");
    }
    response("application/json", text + "]}")
}

/// What is answered for an input that cannot be used.
fn refused(problem: &str) -> Object {
    let mut object = Object::new();
    object.insert("problem", Quoted(problem));
    object
}

/// A fault of this program.
fn fault(error: impl Into<Failure>) -> Refusal {
    let text = match error.into() {
        Failure::Library(error) => one_line(&error),
        Failure::Message(text) => text,
        _ => String::new(),
    };
    (StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// An error of a value without the name of the function.
fn plain(error: &Error) -> String {
    match error {
        Error::Argument { expected, got, .. } => format!("expected {expected}, got {got}"),
        error => one_line(error),
    }
}

/// The numbers of nested lists of equal lengths.
fn flatten(
    value: &Value,
    depth: usize,
    shape: &mut Vec<usize>,
    numbers: &mut Vec<f32>,
) -> Result<(), String> {
    match value {
        Value::Array(list) => {
            if depth == shape.len() && numbers.is_empty() {
                shape.push(list.len());
            }
            match shape.get(depth) {
                Some(&length) if length == list.len() => {}
                Some(length) => return Err(format!("lists of {length} and of {}", list.len())),
                None => return Err("a list beside numbers".into()),
            }
            list.iter().try_for_each(|value| flatten(value, depth + 1, shape, numbers))
        }
        _ if depth != shape.len() => Err("a number beside lists".into()),
        _ => {
            let number = value.as_f64().ok_or_else(|| format!("{value} instead of a number"))?;
            numbers.push(number as f32);
            Ok(())
        }
    }
}

/// What the model sees, from 0 to 255 with the channels last, and how much each pixel matters, the most 255.
pub(super) fn picture(input: &Tensor, saliency: &Tensor) -> tealight::Result<Value> {
    let (c, h, w) = (input.dims()[1], input.dims()[2], input.dims()[3]);
    let bytes = |x: &Tensor, scale: f32| -> tealight::Result<Vec<u8>> {
        Ok(x.flatten(0, -1)?.to_vec1::<f32>()?.iter().map(|x| (x * scale).round() as u8).collect())
    };
    let pixels = bytes(&input.permute(&[0, 2, 3, 1])?, 255.0)?;
    let saliency = bytes(saliency, 255.0)?;
    Ok(json!({"width": w, "height": h, "channels": c, "pixels": pixels, "saliency": saliency}))
}

/// The files of a multipart body (RFC 7578) with their names.
fn files<'a>(body: &'a [u8], boundary: &str) -> Vec<(Cow<'a, str>, &'a [u8])> {
    let mark = format!("--{boundary}");
    let mut all = Vec::new();
    // The first mark may stand at the start, without the line break that ends the part before it.
    let mut rest = match find(body, mark.as_bytes()) {
        Some(at) => body.get(at + mark.len()..).unwrap_or_default(),
        None => return all,
    };
    let end = format!("\r\n{mark}");
    while let Some(part) = rest.strip_prefix(b"\r\n")
        && let (Some(head), Some(length)) = (find(part, b"\r\n\r\n"), find(part, end.as_bytes()))
    {
        let header = String::from_utf8_lossy(part.get(..head).unwrap_or_default());
        let name = header.split("filename=\"").nth(1).and_then(|rest| rest.split('"').next());
        if let (Some(name), Some(bytes)) = (name, part.get(head + 4..length)) {
            all.push((Cow::Owned(name.to_string()), bytes));
        }
        rest = part.get(length + end.len()..).unwrap_or_default();
    }
    all
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let first = pattern.first()?;
    let mut from = 0;
    loop {
        from += text.get(from..)?.iter().position(|byte| byte == first)?;
        if text.get(from..)?.starts_with(pattern) {
            return Some(from);
        }
        from += 1;
    }
}
