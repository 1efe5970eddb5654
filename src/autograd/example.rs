//! The lines of the examples in this folder that a reader need not see.
//!
//! What an operation keeps, and how it writes itself down, can be shown inside of an operation only.

/// The start of an operation `Own` of so many inputs, and those methods of it that an example is not about.
macro_rules! own {
    (begin $inputs:literal) => {
        concat!(
            "# use tealight::prelude::*;\n",
            "# #[derive(Debug)]\n",
            "# struct Own;\n",
            "impl Op<",
            $inputs,
            "> for Own {\n",
            "#     const NAME: &'static str = \"own\";"
        )
    };
    (forward) => {
        "# fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> { Ok(x.clone()) }"
    };
    (backward $inputs:literal) => {
        concat!(
            "# fn backward(&self, _: &Saved<",
            $inputs,
            ">, _: &Tensor) -> Result<[Option<Tensor>; ",
            $inputs,
            "]> { Ok([const { None }; ",
            $inputs,
            "]) }"
        )
    };
}

/// Around the body of [`Op::onnx`](super::Op::onnx). After it `file` is what was exported, of an input (2, 3).
macro_rules! onnx {
    (begin) => {
        concat!(
            "# use tealight::autograd::{Onnx, OnnxAttribute, OnnxValue};\n",
            "# use tealight::prelude::*;\n",
            "# #[derive(Debug)]\n",
            "# struct Own;\n",
            "# impl Op<1> for Own {\n",
            "#     const NAME: &'static str = \"own\";\n",
            own!(forward),
            "\n",
            own!(backward 1),
            "\n# fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {"
        )
    };
    (end $name:literal) => {
        concat!(
            "# }\n",
            "# }\n",
            "# struct Model;\n",
            "# impl Layer for Model {\n",
            "#     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> { Own.apply([x]) }\n",
            "#     tealight::fields!();\n",
            "# }\n",
            "# let path = std::env::temp_dir().join(format!(\"tealight-doc-",
            $name,
            "-{}.onnx\", std::process::id()));\n",
            "# tealight::io::export_onnx(&path, &Model, &[2, 3])?;\n",
            "# let file = std::fs::read(&path).map_err(|error| Error::file(&path, error))?;\n",
            "# std::fs::remove_file(&path).map_err(|error| Error::file(&path, error))?;\n",
            "# let file = String::from_utf8_lossy(&file);\n",
            "\n// in the file that was exported:"
        )
    };
}
