//! The JavaScript around a WebAssembly file: `bindgen IN.wasm FOLDER`.

use wasm_bindgen_cli_support::Bindgen;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(folder)) = (arguments.next(), arguments.next()) else {
        panic!("bindgen: expected a WebAssembly file and a folder");
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).typescript(true).web(true).expect("no other mode is set");
    bindgen.generate(folder).unwrap_or_else(|error| panic!("bindgen: {error:?}"));
}
