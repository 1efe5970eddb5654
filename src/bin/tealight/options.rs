//! The command line: commands, options and their help.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
A first try, with a folder of cat photos and a folder of dog photos in the folder `photos`:
  tealight train photos --out pets
  tealight predict pets/model.safetensors new-photo.jpg

The same with a table, to predict its column `species`:
  tealight train flowers.csv --target species --out flowers
  tealight predict flowers/model.safetensors new-flowers.csv";

const TRAIN: &str = "\
Images: DATA is a folder with one subfolder per class, named after the class:
  photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg  …
They may lie deeper, in subfolders of these. Photos are turned as their Exif data say, and fitted into a square.
Table: DATA is a CSV file (also .tsv, .csv.gz), a workbook, or Parquet where the program has that. How it is written, and columns of numbers, dates and words are recognised.

Examples:
  tealight train photos --out pets
  tealight train photos --out pets --size 64 --flip --epochs 60
  tealight train flowers.csv --target species --out flowers
  tealight train flowers.csv --target species --ignore id --model logistic --out flowers

Files written to the folder --out:
  model.safetensors  the model and everything `tealight predict` needs
  report.html        the training on one page, for a browser
  loss.png           the loss after each epoch
  confusion.png      true classes against predicted classes
  predicted.png      predicted against true numbers, and residuals.png their differences (numbers only)
  predictions.png    some validation images with their predictions (images only)
  roc.png            the ROC curve (two classes only)
  checkpoint/        the state that --resume continues from";

const PREDICT: &str = "\
Examples:
  tealight predict pets/model.safetensors photo.jpg
  tealight predict pets/model.safetensors holiday-photos/
  tealight predict flowers/model.safetensors new-flowers.csv --out answers.csv";

const EVALUATE: &str = "\
Metrics:
  accuracy   the share of examples that were classified correctly
  precision  of the examples predicted as this class, the share that belongs to it
  recall     of the examples of this class, the share that was predicted as it
  F1         the harmonic mean of precision and recall
  log loss   the mean of −ln(probability of the true class): 0 is best
Metrics of predicted numbers:
  MAE        the mean absolute error
  RMSE       the root of the mean squared error
  R²         1 is perfect, 0 is no better than the mean

Examples:
  tealight evaluate pets/model.safetensors more-photos/
  tealight evaluate flowers/model.safetensors more-flowers.csv --report flowers.html";

const INSPECT: &str = "\
Examples:
  tealight inspect pets/model.safetensors
  tealight inspect downloaded.safetensors";

const EXPORT: &str = "\
Examples:
  tealight export pets/model.safetensors --onnx pets.onnx
  tealight export flowers/model.safetensors --c flowers.c";

const SERVE: &str = "\
Open the address in a browser to drop photos, draw a digit, fill in a row or drop a table.
Other programs POST to /predict: JSON, images or CSV. /docs says how.

Examples:
  tealight serve pets/model.safetensors
  tealight serve flowers/model.safetensors --port 9000
  curl --data-binary @photo.jpg -H 'content-type: image/jpeg' http://localhost:8000/predict";

const COMPLETIONS: &str = "\
Examples:
  tealight completions bash > ~/.local/share/bash-completion/completions/tealight
  tealight completions fish > ~/.config/fish/completions/tealight.fish";

const MAN: &str = "\
Examples:
  tealight man > ~/.local/share/man/man1/tealight.1
  tealight man train > ~/.local/share/man/man1/tealight-train.1";

/// Train a small model on your own images or tables, and use it
#[derive(Parser)]
#[command(name = "tealight", version, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Train a model on examples
    Train(Box<Train>),
    /// Predict the class or the number of new images or rows
    Predict(Predict),
    /// Measure a model on labeled examples
    Evaluate(Evaluate),
    /// Show the contents of a model file
    Inspect(Inspect),
    /// Write a model as ONNX, or as one file of C or Rust
    Export(Export),
    /// Try a model in the browser, and let other programs use it
    Serve(Serve),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
        shell: String,
    },
    /// Print a man page
    #[command(after_help = MAN)]
    Man {
        /// The command to describe [default: the program]
        command: Option<String>,
    },
}

/// The kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Logistic regression: one weight per input and class
    Logistic,
    /// A network of fully connected layers
    Mlp,
    /// A convolutional network, for images
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

/// Whose weights a model gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Keep {
    /// Those of the epoch that was best on the validation examples
    Best,
    /// Those of the last epoch: all --epochs are trained
    Last,
}

/// What decides which epoch is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Score {
    /// The validation loss, which also counts how sure the answers are
    Loss,
    /// The share of right answers
    Accuracy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorMode {
    /// Grey if all images are grey
    Auto,
    /// Brightness only
    Grey,
    /// Red, green and blue
    Rgb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MissingMode {
    /// Replace it by the column's mean or most frequent word
    Fill,
    /// Leave out the row
    Drop,
    /// Stop with an error
    Error,
}

/// How an image becomes a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FitMode {
    /// All of it, with the background at two sides
    Pad,
    /// The largest square in its centre
    Crop,
    /// All of it, whatever its proportions
    Stretch,
}

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Task {
    /// One of several classes
    Classification,
    /// A number
    Regression,
}

#[derive(Args)]
#[command(after_help = TRAIN)]
pub(super) struct Train {
    /// A folder with one subfolder of images per class, or a table
    #[arg(value_name = "DATA")]
    pub(super) data: PathBuf,
    /// The folder for the model, the report and the plots
    #[arg(long, value_name = "DIR", default_value = "model")]
    pub(super) out: PathBuf,
    /// The kind of model [default: cnn for images, mlp for tables]
    #[arg(long)]
    pub(super) model: Option<Kind>,
    /// The largest number of passes over all examples [default: 40 for images, 100 for tables]
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<u64>,
    /// Examples per training step
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(super) batch_size: usize,
    /// The step size: smaller is slower and steadier [default: 0.002 for images; for tables 0.001 for mlp, 0.02 for logistic]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) learning_rate: Option<f64>,
    /// Widths of the hidden layers of an mlp, or of those after the convolutions of a cnn [default: 64,32 for mlp, none for cnn]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(super) hidden: Option<Vec<usize>>,
    /// The share of the examples to hold back for validation [default: 0.2, or --folds 5 for fewer than 200 examples]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, conflicts_with = "folds")]
    pub(super) valid: Option<f64>,
    /// Validate each example once: train N models, each without one of N parts, and then the model on all examples; 0 for --valid 0.2
    #[arg(long, value_name = "N")]
    pub(super) folds: Option<usize>,
    /// Stop after N epochs without a better --score
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub(super) patience: u64,
    /// Which epoch's weights the model gets
    #[arg(long, value_name = "EPOCH", default_value = "best")]
    pub(super) keep: Keep,
    /// The score on the validation examples by which an epoch is best
    #[arg(long, value_name = "SCORE", default_value = "loss")]
    pub(super) score: Score,
    /// The seed of all random numbers: the same seed gives the same model
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Continue an interrupted training, or a finished one with more --epochs; the other options must be the same
    #[arg(long)]
    pub(super) resume: bool,
    /// Replace the finished model in --out
    #[arg(long)]
    pub(super) force: bool,
    /// Give each class the same weight, however rare it is
    #[arg(long)]
    pub(super) balance: bool,
    /// End with exit code 3 if the model is, or may be, no better than guessing on the validation examples
    #[arg(long)]
    pub(super) beat_guessing: bool,
    /// Show the training on a page in the browser while it runs, with a button that stops it
    #[arg(long)]
    pub(super) watch: bool,
    /// Print only errors and skipped files
    #[arg(long)]
    pub(super) quiet: bool,
    /// The number of threads [default: all]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    #[command(flatten)]
    pub(super) images: Images,
    #[command(flatten)]
    pub(super) table: Table,
}

#[derive(Args)]
#[command(next_help_heading = "For images")]
pub(super) struct Images {
    /// Resize images to this width and height: larger is slower and shows finer detail [default: 32]
    #[arg(long, value_name = "PIXELS")]
    pub(super) size: Option<usize>,
    /// Train on colour or on brightness only [default: auto]
    #[arg(long, alias = "color")]
    pub(super) colour: Option<ColorMode>,
    /// How an image becomes a square [default: pad]
    #[arg(long)]
    pub(super) fit: Option<FitMode>,
    /// The colour behind transparent parts and beside padded images: white, black, or such as #ff8800 [default: white]
    #[arg(long, value_name = "COLOUR", value_parser = super::inputs::background)]
    pub(super) background: Option<[u8; 3]>,
    /// Also train on mirror images, where left and right do not matter
    #[arg(long)]
    pub(super) flip: bool,
}

#[derive(Args)]
#[command(next_help_heading = "For tables")]
pub(super) struct Table {
    /// The column to predict [default: the last]
    #[arg(long, value_name = "COLUMN")]
    pub(super) target: Option<String>,
    /// A column to leave out, such as a row number; may be given several times
    #[arg(long, value_name = "COLUMN")]
    pub(super) ignore: Vec<String>,
    /// A column whose numbers are names, such as post codes; may be given several times
    #[arg(long, value_name = "COLUMN")]
    pub(super) categorical: Vec<String>,
    /// Whether to predict classes or a number [default: a number if the target has numbers that do not look like classes]
    #[arg(long)]
    pub(super) task: Option<Task>,
    /// How to treat missing values [default: fill]
    #[arg(long)]
    pub(super) missing: Option<MissingMode>,
    /// The texts that mean "missing", beside the empty one; `--na-values ''` keeps NA and None as words [default: NA, N/A, NaN, null, None, ?, …]
    #[arg(long, value_name = "TEXT,TEXT", value_delimiter = ',')]
    pub(super) na_values: Option<Vec<String>>,
    #[command(flatten)]
    pub(super) form: Form,
}

/// How a file writes its table.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "How a table is written (default: recognised)")]
pub(super) struct Form {
    /// The character between two values, such as `;`, or `tab`
    #[arg(long, value_name = "CHARACTER")]
    pub(super) delimiter: Option<String>,
    /// The decimal mark: `.` or `,`
    #[arg(long, value_name = "CHARACTER")]
    pub(super) decimal: Option<char>,
    /// The mark between thousands, such as `,` in 1,000
    #[arg(long, value_name = "CHARACTER")]
    pub(super) thousands: Option<char>,
    /// The encoding of the text, such as windows-1252
    #[arg(long, value_name = "NAME")]
    pub(super) encoding: Option<String>,
    /// The sheet of a workbook [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(super) sheet: Option<String>,
    /// The first row has the names of the columns
    #[arg(long, conflicts_with = "no_header")]
    pub(super) header: bool,
    /// The first row has values: the columns are called 0, 1, 2, …
    #[arg(long)]
    pub(super) no_header: bool,
    /// Read 1/2/2024 as the first of February
    #[arg(long)]
    pub(super) day_first: bool,
}

#[derive(Args)]
#[command(after_help = PREDICT)]
pub(super) struct Predict {
    /// A model.safetensors that `tealight train` wrote
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// Images, folders of images, or tables
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Write the predictions to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub(super) json: bool,
    /// For tables: name the rows by this column instead of their numbers
    #[arg(long, value_name = "COLUMN")]
    pub(super) id: Option<String>,
    /// For tables: repeat the columns of the file before the predictions
    #[arg(long)]
    pub(super) keep: bool,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Args)]
#[command(after_help = EVALUATE)]
pub(super) struct Evaluate {
    /// A model.safetensors that `tealight train` wrote
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// A folder with one subfolder of images per class, or a table
    #[arg(value_name = "DATA")]
    pub(super) data: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// Also write an HTML page with plots and the errors
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Args)]
#[command(after_help = INSPECT)]
pub(super) struct Inspect {
    /// A model of `tealight train`, or any safetensors, PyTorch (.pth) or numpy (.npz, .npy) file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
}

#[derive(Args)]
#[command(after_help = EXPORT)]
pub(super) struct Export {
    /// A model.safetensors that `tealight train` wrote
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// The ONNX file to write: from images scaled to 0..1, or the numbers of a row (64 bits), to one logit per class or the predicted number
    #[arg(long, value_name = "FILE", required_unless_present_any = ["c", "rust"])]
    pub(super) onnx: Option<PathBuf>,
    /// The C file to write: one example at a time, with the same bits, for a microcontroller; it needs no library
    #[arg(long, value_name = "FILE")]
    pub(super) c: Option<PathBuf>,
    /// The Rust file to write: as --c, a module that needs `core` alone
    #[arg(long, value_name = "FILE")]
    pub(super) rust: Option<PathBuf>,
    /// The version of ONNX's operators, from 17 to 26 [default: 17, and 19 with --int8]
    #[arg(long, value_name = "N")]
    pub(super) opset: Option<usize>,
    /// For a table's ONNX file: numbers of 32 bits, which more engines take
    #[arg(long, requires = "onnx")]
    pub(super) f32: bool,
    /// Compute with integers of 8 bits: a quarter of the memory, and slightly other scores
    #[arg(long, requires = "calibrate")]
    pub(super) int8: bool,
    /// For --int8: examples such as those of the training, by which the ranges of the integers are chosen
    #[arg(long, value_name = "DATA", requires = "int8")]
    pub(super) calibrate: Option<PathBuf>,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Args)]
#[command(after_help = SERVE)]
pub(super) struct Serve {
    /// A model.safetensors that `tealight train` wrote
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// The address to listen on; with another one than 127.0.0.1 other machines can use the model
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000", value_parser = address)]
    pub(super) listen: SocketAddr,
    /// The port; 0 takes any free one
    #[arg(long, value_name = "N")]
    pub(super) port: Option<u16>,
    /// Another name of this machine that requests may use; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(super) host: Vec<String>,
    /// The most bytes of a request
    #[arg(long, value_name = "N", default_value_t = 16 << 20)]
    pub(super) max_bytes: usize,
    /// The most seconds for receiving a request, and for computing its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout: u64,
    /// The most connections at a time
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) max_connections: usize,
}

/// `127.0.0.1:8000`, or an address alone.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let alone = || text.trim_matches(['[', ']']).parse().map(|ip: IpAddr| SocketAddr::new(ip, 8000));
    text.parse().or_else(|_| alone()).map_err(|_| "expected an address such as 127.0.0.1:8000 or 0.0.0.0")
}
