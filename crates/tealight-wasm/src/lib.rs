//! tealight in the browser: what the pages of `docs/playground` call, each with numbers and texts.
//!
//! Errors are tealight's own texts, as JavaScript's `Error`.

mod calculator;
mod digits;
mod formula;
mod lesson;
mod network;
mod notebook;
#[cfg(feature = "speed")]
mod speed;

#[cfg(feature = "speed")]
pub use speed::Mlp;

use wasm_bindgen::prelude::*;

/// The instruction set of this build: `relaxed-simd` or `simd128`.
#[wasm_bindgen]
pub fn simd_level() -> String {
    tealight::simd_level().into()
}

fn thrown(error: impl std::fmt::Display) -> JsError {
    JsError::new(&error.to_string())
}
