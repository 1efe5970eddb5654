//! The book in `docs/`: `cargo test` compiles and runs the code of every page.

macro_rules! pages {
    ($($name:ident = $path:literal),* $(,)?) => {
        $(
            #[doc = include_str!(concat!("../docs/", $path))]
            struct $name;
        )*
    };
}

pages! {
    Introduction = "introduction.md",
    Formulas = "01-formulas.md",
    Broadcasting = "02-broadcasting.md",
    Images = "03-images.md",
    Normalising = "04-normalising.md",
    Softmax = "05-softmax.md",
    Products = "06-products.md",
    Losses = "07-losses.md",
    Graph = "08-graph.md",
    LogisticRegression = "09-logistic-regression.md",
    HiddenLayers = "10-mlp.md",
    Convolutions = "11-cnn.md",
    SecondDerivatives = "12-second-derivatives.md",
    SavingAndServing = "13-saving-and-serving.md",
    ForwardMode = "14-forward-mode.md",
    Programs = "15-programs.md",
    Microcontroller = "16-microcontroller.md",
    Export = "export.md",
    ShapesAndDtypes = "shapes-and-dtypes.md",
    MyPhotos = "how-to/my-photos.md",
    MyCsv = "how-to/my-csv.md",
    LargeData = "how-to/large-data.md",
    MyActivation = "how-to/my-activation.md",
    MyLoss = "how-to/my-loss.md",
    MyLayer = "how-to/my-layer.md",
    SeveralInputs = "how-to/several-inputs.md",
    MyOp = "how-to/my-op.md",
    DifferentialEquations = "how-to/differential-equations.md",
    FineTuning = "how-to/fine-tuning.md",
    FromPyTorch = "how-to/from-pytorch.md",
    FromCandle = "how-to/from-candle.md",
    FromNumpy = "how-to/from-numpy.md",
    ReproducibleRuns = "how-to/reproducible-runs.md",
    Gpu = "how-to/gpu.md",
}
