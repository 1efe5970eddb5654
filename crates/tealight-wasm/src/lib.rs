//! tealight in the browser: what the pages of `docs/playground` call, each with numbers and texts.
//!
//! Errors are tealight's own texts, as JavaScript's `Error`.

mod digits;
mod formula;
mod network;
mod notebook;

use wasm_bindgen::prelude::*;

/// The instructions that the loops use: `relaxed` or `simd128`.
#[wasm_bindgen]
pub fn simd() -> String {
    if cfg!(target_feature = "relaxed-simd") { "relaxed" } else { "simd128" }.into()
}

fn thrown(error: impl std::fmt::Display) -> JsError {
    JsError::new(&error.to_string())
}
