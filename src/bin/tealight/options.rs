//! What can be asked for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
A first try, with a folder of cat photos and a folder of dog photos in the folder `photos`:
  tealight train photos --out pets
  tealight predict pets/model.safetensors new-photo.jpg

The same with a table, whose column `species` is to be predicted:
  tealight train flowers.csv --target species --out flowers
  tealight predict flowers/model.safetensors new-flowers.csv";

const TRAIN: &str = "\
Pictures: DATA is a folder with one folder for each class, named after it:
  photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg  …
Table: DATA is a CSV file with a line of column names. Numbers and words are told apart by themselves.

Examples:
  tealight train photos --out pets
  tealight train photos --out pets --size 64 --flip --epochs 60
  tealight train flowers.csv --target species --out flowers
  tealight train flowers.csv --target species --ignore id --model logistic --out flowers

What is written to the folder of --out:
  model.safetensors  the model, with all that `tealight predict` needs
  report.html        the training on one page: open it in a browser
  loss.png           how wrong the model was, epoch by epoch
  confusion.png      which class was taken for which
  predictions.png    some pictures with what the model said (pictures only)
  roc.png            how well it tells the two classes apart (two classes only)
  checkpoint/        what --resume goes on from";

const PREDICT: &str = "\
Examples:
  tealight predict pets/model.safetensors photo.jpg
  tealight predict pets/model.safetensors holiday-photos/
  tealight predict flowers/model.safetensors new-flowers.csv --out answers.csv";

const EVALUATE: &str = "\
What the words mean:
  accuracy   the share of all examples that the model was right about
  precision  of what the model called this class, the share that is of it
  recall     of what is of this class, the share that the model found
  F1         one number for both: high only if both are high
  log loss   how surprised the model was by the truth: 0 is best

Examples:
  tealight evaluate pets/model.safetensors more-photos/
  tealight evaluate flowers/model.safetensors more-flowers.csv";

const INSPECT: &str = "\
Examples:
  tealight inspect pets/model.safetensors
  tealight inspect downloaded.safetensors";

const EXPORT: &str = "\
Examples:
  tealight export pets/model.safetensors --onnx pets.onnx";

/// Train a small classifier on your own pictures or tables, and use it
#[derive(Parser)]
#[command(name = "tealight", version, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Learn to tell classes apart, from examples
    Train(Box<Train>),
    /// Say which class new pictures or rows are of
    Predict(Predict),
    /// Measure how good a model is on examples that it has not seen
    Evaluate(Evaluate),
    /// Show what is in a model file
    Inspect(Inspect),
    /// Write a model in a form that other programs read
    Export(Export),
}

/// Which kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// The simplest: one weight for each input and class
    Logistic,
    /// A network of layers that look at everything at once
    Mlp,
    /// A network that looks for shapes in pictures
    Cnn,
}

const KINDS: [(Kind, &str); 3] = [(Kind::Logistic, "logistic"), (Kind::Mlp, "mlp"), (Kind::Cnn, "cnn")];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        KINDS.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// Grey if no picture has a colour
    Auto,
    /// Brightness only
    Grey,
    /// Red, green and blue
    Rgb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Gap {
    /// Put the column's mean there, or its most frequent word
    Fill,
    /// Leave the row out
    Drop,
    /// Stop with an error
    Error,
}

#[derive(Args)]
#[command(after_help = TRAIN)]
pub(super) struct Train {
    /// A folder with one folder of pictures for each class, or a CSV file
    #[arg(value_name = "DATA")]
    pub(super) data: PathBuf,
    /// Where the model and the pictures of the training are written
    #[arg(long, value_name = "DIR", default_value = "model")]
    pub(super) out: PathBuf,
    /// The kind of model [default: cnn for pictures, mlp for tables]
    #[arg(long)]
    pub(super) model: Option<Kind>,
    /// How many times to go through all examples, at most [default: 40 for pictures, 100 for tables]
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<u64>,
    /// How many examples to learn from at a time
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(super) batch_size: usize,
    /// How far to go in each step: smaller is slower and steadier [default: 0.002 for pictures; for tables 0.001 for mlp, 0.02 for logistic]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) learning_rate: Option<f64>,
    /// The widths of the layers inside an mlp, or after the shapes of a cnn [default: 64,32 for mlp, none for cnn]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(super) hidden: Option<Vec<usize>>,
    /// The share of the examples that is not learned from, to see how good the model is on new ones
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, allow_negative_numbers = true)]
    pub(super) valid: f64,
    /// Stop when the model has not become better on these for so many epochs; the best model is kept
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub(super) patience: u64,
    /// The same number gives the same model
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Go on with a training that was interrupted, or make it longer with more --epochs: otherwise the same command
    #[arg(long)]
    pub(super) resume: bool,
    /// Say nothing but errors, and which files were skipped
    #[arg(long)]
    pub(super) quiet: bool,
    /// How many processor cores to use [default: all]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    #[command(flatten)]
    pub(super) pictures: Pictures,
    #[command(flatten)]
    pub(super) table: Table,
}

#[derive(Args)]
#[command(next_help_heading = "For pictures")]
pub(super) struct Pictures {
    /// Pictures are made so many pixels wide and high: more is slower and sees finer things [default: 32]
    #[arg(long, value_name = "PIXELS")]
    pub(super) size: Option<usize>,
    /// Whether colours count [default: auto]
    #[arg(long, alias = "color")]
    pub(super) colour: Option<Colour>,
    /// Learn from mirror images too: where left and right do not matter
    #[arg(long)]
    pub(super) flip: bool,
}

#[derive(Args)]
#[command(next_help_heading = "For tables")]
pub(super) struct Table {
    /// The column to be predicted [default: the last]
    #[arg(long, value_name = "COLUMN")]
    pub(super) target: Option<String>,
    /// A column to be passed over, such as a row's number; may come several times
    #[arg(long, value_name = "COLUMN")]
    pub(super) ignore: Vec<String>,
    /// A column whose numbers are only names, such as post codes; may come several times
    #[arg(long, value_name = "COLUMN")]
    pub(super) categorical: Vec<String>,
    /// What to do where a value is missing [default: fill]
    #[arg(long)]
    pub(super) missing: Option<Gap>,
    /// What stands between two values: `;`, or `tab` [default: `,`]
    #[arg(long, value_name = "CHARACTER")]
    pub(super) delimiter: Option<String>,
}

#[derive(Args)]
#[command(after_help = PREDICT)]
pub(super) struct Predict {
    /// A model.safetensors that `tealight train` wrote
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// Pictures, folders of pictures, or CSV files
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Write the answers to this file
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// One JSON object a line, for other programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
#[command(after_help = EVALUATE)]
pub(super) struct Evaluate {
    /// A model.safetensors that `tealight train` wrote
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// A folder with one folder of pictures for each class, or a CSV file
    #[arg(value_name = "DATA")]
    pub(super) data: PathBuf,
    /// One JSON object, for other programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
#[command(after_help = INSPECT)]
pub(super) struct Inspect {
    /// A model of ours, or any file of safetensors or of numpy (.npz)
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
}

#[derive(Args)]
#[command(after_help = EXPORT)]
pub(super) struct Export {
    /// A model.safetensors that `tealight train` wrote
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// The ONNX file to write; it takes pictures as numbers from 0 to 1, or the numbers of a row, and gives a score a class
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) onnx: PathBuf,
}
