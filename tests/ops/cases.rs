//! Reads `reference/ops.txt`; `reference/ops.py` describes its format.

use tealight::prelude::*;

/// An array as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) key: String,
    pub(crate) label: String,
    /// Every element is compared relative to itself alone.
    pub(crate) each: bool,
    pub(crate) inputs: Vec<Numbers>,
    pub(crate) out: Numbers,
    pub(crate) v: Option<Vec<f64>>,
    pub(crate) g: Vec<Vec<f64>>,
    pub(crate) u: Vec<Vec<f64>>,
    pub(crate) h: Vec<Vec<f64>>,
    pub(crate) nan: Vec<Vec<f64>>,
}

impl Numbers {
    fn parse(text: &str) -> Self {
        let (head, numbers) = text.split_once(" :").unwrap();
        let (dtype, shape) = head.split_once(' ').unwrap();
        let dims: Vec<usize> = match shape {
            "-" => vec![],
            _ => shape.split('x').map(|size| size.parse().unwrap()).collect(),
        };
        let data = list(numbers, dims.iter().product());
        Numbers { dtype: dtype.parse().unwrap(), dims, data }
    }

    pub(crate) fn is_float(&self) -> bool {
        self.dtype.is_float()
    }

    /// As an array of its own type, but with `float` for f64.
    pub(crate) fn array(&self, float: DType) -> Array {
        let dtype = if self.dtype == DType::F64 { float } else { self.dtype };
        let array = Array::from_vec(self.data.clone(), &self.dims[..], &Device::Cpu).unwrap();
        array.to_dtype(dtype).unwrap()
    }
}

/// `count` numbers; a single 0 stands for as many as there are.
fn list(text: &str, count: usize) -> Vec<f64> {
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    if numbers == [0.0] {
        return vec![0.0; count];
    }
    assert_eq!(numbers.len(), count, "{text}");
    numbers
}

pub(crate) fn read() -> Vec<Case> {
    let text = include_str!("../reference/ops.txt").replace("\r\n", "\n");
    let blocks = text.split("\n\n").map(str::trim).filter(|block| block.starts_with("case "));
    blocks.map(case).collect()
}

fn case(block: &str) -> Case {
    let lines = |word: &str| {
        let word = format!("{word} ");
        block.lines().filter_map(move |line| line.strip_prefix(&word).map(str::to_string)).collect::<Vec<_>>()
    };
    let numbers = |word: &str| lines(word).iter().map(|line| Numbers::parse(line)).collect::<Vec<_>>();
    let (inputs, out) = (numbers("in"), numbers("out").remove(0));
    let floats: Vec<usize> = inputs.iter().filter(|x| x.is_float()).map(|x| x.data.len()).collect();
    let each = |word: &str| -> Vec<Vec<f64>> {
        let lines = lines(word);
        assert!(lines.is_empty() || lines.len() == floats.len(), "{word} of {block}");
        lines.iter().zip(&floats).map(|(line, &count)| list(line.strip_prefix(':').unwrap(), count)).collect()
    };
    let (key, label) =
        lines("case")[0].split_once(" | ").map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    Case {
        key: crate::key(&key),
        label,
        each: block.lines().any(|line| line == "each"),
        v: lines("v").first().map(|line| list(line.strip_prefix(':').unwrap(), out.data.len())),
        g: each("g"),
        u: each("u"),
        h: each("h"),
        nan: each("nan"),
        inputs,
        out,
    }
}
