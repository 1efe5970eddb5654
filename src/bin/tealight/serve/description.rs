//! What a model takes and answers, as JSON for the page, and as OpenAPI.

use serde_json::{Map, Value, json};
use tealight::data::ColumnKind;

use super::server::Limits;
use super::short;
use crate::inputs::Inputs;
use crate::model::Model;

/// The most examples of words in the description of a column.
const WORDS: usize = 1000;

pub(super) fn of_model(model: &Model, limits: &Limits) -> Value {
    let plan = &model.plan;
    let (inputs, target) = match &plan.inputs {
        Inputs::Images(pictures) => {
            let mut inputs = pictures.description();
            inputs["type"] = "image".into();
            inputs["dark"] = model.is_dark().into();
            (inputs, None)
        }
        Inputs::Table(schema) => {
            let column = |column: &tealight::data::TableColumn| {
                let (kind, example) = match column.kind {
                    ColumnKind::Number { mean } => ("number", short(mean)),
                    ColumnKind::DateTime => ("date-time", "2026-01-31T12:00".into()),
                    ColumnKind::Time => ("time", "12:00".into()),
                    ColumnKind::Category { most_frequent, .. } => ("category", most_frequent.into()),
                    _ => ("date", "2026-01-31".into()),
                };
                let mut object = json!({"name": column.name, "type": kind, "example": example});
                if let ColumnKind::Category { categories, .. } = column.kind {
                    object["categories"] = categories.iter().take(WORDS).cloned().collect();
                }
                object
            };
            let columns: Vec<Value> = schema.columns().iter().map(column).collect();
            (json!({"type": "table", "columns": columns}), Some(schema.target()))
        }
    };
    let measured = model.about.iter().find(|(name, _)| name.ends_with("(validation)"));
    json!({
        "kind": plan.kind.to_string(),
        "inputs": inputs,
        "target": target,
        "classes": plan.classes,
        "measured": measured,
        "max_bytes": limits.max_bytes,
    })
}

/// The description of the interface: OpenAPI 3.1, whose schemas are JSON Schema.
pub(super) fn openapi(model: &Value) -> Value {
    let (inputs, classes) = (&model["inputs"], &model["classes"]);
    let is_table = inputs["type"] == "table";
    let mut answer = Map::new();
    if classes.as_array().is_some_and(|classes| !classes.is_empty()) {
        let share = json!({"type": "number", "minimum": 0, "maximum": 1});
        answer.insert("class".into(), json!({"type": "string", "enum": classes}));
        answer.insert("probability".into(), share.clone());
        let each = json!({"type": "object", "description": "The probability of each class.", "additionalProperties": share});
        answer.insert("probabilities".into(), each);
    } else {
        let told = format!("The predicted {}.", model["target"].as_str().unwrap_or("number"));
        answer.insert("prediction".into(), json!({"type": "number", "description": told}));
    }
    let mut content = Map::new();
    let mut parameters = Vec::new();
    if is_table {
        let columns = inputs["columns"].as_array().map_or(&[][..], Vec::as_slice);
        let property = |column: &Value| {
            let name = column["name"].as_str().expect("a description names its columns").to_string();
            let kind = if column["type"] == "number" {
                json!(["number", "string", "null"])
            } else {
                json!(["string", "number", "null"])
            };
            let mut schema = json!({"type": kind, "examples": [column["example"]]});
            if column["categories"].is_array() {
                schema["description"] = format!("One of {}.", column["categories"]).into();
            } else if column["type"] != "number" {
                schema["description"] = format!(
                    "A {}.",
                    column["type"].as_str().expect("a description has the type of a column")
                )
                .into();
            }
            (name, schema)
        };
        let properties: Map<String, Value> = columns.iter().map(property).collect();
        let names: Vec<&Value> = columns.iter().map(|column| &column["name"]).collect();
        let example: Map<String, Value> = columns
            .iter()
            .map(|column| {
                (
                    column["name"].as_str().expect("a description names its columns").into(),
                    column["example"].clone(),
                )
            })
            .collect();
        let row = json!({
            "description": "A row: values by the names of the columns, or in their order. null is a missing value.",
            "anyOf": [
                {"type": "object", "properties": properties, "required": names},
                {"type": "array", "minItems": names.len(), "maxItems": names.len()},
            ],
        });
        let rows = json!({"description": "Rows, or one row: values by the names of the columns, or in their order.", "anyOf": [
            {"type": "object", "properties": {"rows": {"type": "array", "items": row}}, "required": ["rows"]},
            {"type": "array", "items": row},
            row,
        ]});
        content.insert("application/json".into(), json!({"schema": rows, "example": {"rows": [example]}}));
        let text = json!({"schema": {"type": "string", "description": "A table with a header, as `tealight predict` reads it."}});
        content.insert("text/csv".into(), text);
        answer.insert("row".into(), json!({"type": "integer", "minimum": 1}));
        parameters.push(json!({
            "name": "keep", "in": "query", "schema": {"type": "boolean", "default": false},
            "description": "For CSV: repeat the columns of the table in the answer.",
        }));
    } else {
        let (size, grey) = (&inputs["size"], inputs["color"] == "grey");
        let shape = format!("[n, {}, {size}, {size}]", if grey { 1 } else { 3 });
        let numbers = json!({
            "description": format!("Nested numbers from 0 to 1 of the shape {shape}, or without n{}.", if grey { " and without the 1" } else { "" }),
            "type": "array",
        });
        content.insert("application/json".into(), json!({"schema": numbers}));
        for kind in ["image/png", "image/jpeg", "image/*"] {
            content.insert(kind.into(), json!({"schema": {"type": "string", "format": "binary"}}));
        }
        parameters.push(json!({
            "name": "saliency", "in": "query", "schema": {"type": "boolean", "default": false},
            "description": "Add `picture`: what the model sees, `pixels` from 0 to 255 with the channels last, and `saliency`, how much each pixel matters, from 0 to 255.",
        }));
    }
    let files = json!({"type": "array", "items": {"type": "string", "format": "binary"}});
    content.insert(
        "multipart/form-data".into(),
        json!({"schema": {"type": "object", "properties": {"file": files}}}),
    );
    answer.insert(
        "path".into(),
        json!({"type": "string", "description": "The name of the file, if there was one."}),
    );
    answer.insert("problem".into(), json!({"type": "string", "description": "Why there is no prediction."}));
    let mut good = json!({
        "description": "The predictions, in the order of the inputs.",
        "content": {"application/json": {"schema": {
            "type": "object",
            "properties": {"predictions": {"type": "array", "items": {"type": "object", "properties": answer}}},
            "required": ["predictions"],
        }}},
    });
    if is_table {
        good["content"]["text/csv"] = json!({"schema": {"type": "string"}});
    }
    let wrong = |text: &str| {
        json!({"description": text, "content": {"application/json": {"schema": {
            "type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"],
        }}}})
    };
    json!({
        "openapi": "3.1.0",
        "info": {"title": "A model of tealight", "version": env!("CARGO_PKG_VERSION")},
        "paths": {
            "/predict": {"post": {
                "summary": "Predict",
                "parameters": parameters,
                "requestBody": {"required": true, "content": content},
                "responses": {
                    "200": good,
                    "400": wrong("The body is not what its Content-Type says."),
                    "413": wrong(&format!("The body has more than {} bytes.", model["max_bytes"])),
                    "415": wrong("The Content-Type is none of these."),
                    "422": wrong("No input could be predicted."),
                },
            }},
            "/health": {"get": {
                "summary": "Whether the server runs",
                "responses": {"200": {"description": "It does.", "content": {"application/json": {"example": {"status": "ok"}}}}},
            }},
            "/model.json": {"get": {
                "summary": "What the model takes and answers",
                "responses": {"200": {"description": "Its inputs and classes.", "content": {"application/json": {"example": model}}}},
            }},
        },
    })
}
