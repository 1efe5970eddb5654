//! Every layer, every activation and some whole models as ONNX files, each with inputs and what tealight makes of them.

use std::collections::BTreeMap;
use std::path::Path;

use tealight::activation::*;
use tealight::autograd::{Onnx, OnnxValue};
use tealight::export::{Quantize, quantize};
use tealight::formula::Formula;
use tealight::io::{OnnxExport, write_npz};
use tealight::layer::*;
use tealight::normalize::MinMax;
use tealight::ops::{self, ConvPadding, Pad};
use tealight::prelude::*;

/// An activation of a user's own.
#[derive(Clone, Debug)]
struct Bell;
impl Activation for Bell {
    const NAME: &'static str = "bell";
    fn value<R: Real>(&self, x: R) -> R {
        (-(x * x)).exp()
    }
}

/// All that a formula can be made of.
#[derive(Clone, Debug)]
struct Everything;
impl Formula<2> for Everything {
    const NAME: &'static str = "everything";
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        let c = R::constant;
        let small = (a * c(0.01)).exp_m1() + (b * c(1e-4)).ln_1p() + a.sin() * b.cos() + a.erfc() - b.erf();
        let whole = (a * c(3.0)).floor() + (b * c(3.0)).round_ties_even() + a.signum() + a.atan();
        let rest = a.remainder(c(0.7))
            + a.remainder(c(-0.7))
            + a.abs().powf(b)
            + (b * b + c(1.0)).recip()
            + a.powi(3)
            + a.powi(-2).minimum(c(2.0));
        let chosen = a.select_gt(b, a.maximum(b).sqrt(), a.minimum(b).tanh().sigmoid());
        small + whole + rest + a.select_gt(c(0.0), chosen.maximum(c(0.0)), (b.abs() + c(0.1)).ln())
    }
}

/// The first half of the columns and the second, through [`Everything`].
struct Formulas;
impl Layer for Formulas {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let halves = x.chunk(2, 1)?;
        ops::apply(Everything, [&halves[0], &halves[1]])
    }
    tealight::fields!();
}

/// A layer of a user's own, of tensor methods and two layers.
struct Own {
    inner: Linear,
    scale: Parameter,
    norm: LayerNorm,
}
impl Layer for Own {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let y = ctx.call("inner", &self.inner, x)?.tanh()?;
        let y = ((&y * &self.scale.get())? + x.mean_keepdim(1)?)?;
        let y = (y.clamp(-0.9, 0.9)? / (x.sqr()?.sum_keepdim(1)? + 1.0)?)?;
        Bell.apply(&ctx.call("norm", &self.norm, &y)?)
    }
    tealight::fields!(inner, scale, norm);
}

/// Self-attention that looks back only.
struct Causal(MultiHeadAttention);
impl Layer for Causal {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        Ok(self.0.attend(x, x, x, &AttentionMask::new().causal(), ctx)?.0)
    }
    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.layer("attention", &self.0);
    }
}

/// The last step of a recurrent layer, classified.
struct Reader {
    words: Embedding,
    lstm: Lstm,
    head: Linear,
}
impl Layer for Reader {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let y = ctx.call("words", &self.words, x)?;
        let y = ctx.call("lstm", &self.lstm, &y)?.i((.., -1))?;
        ctx.call("head", &self.head, &y)
    }
    tealight::fields!(words, lstm, head);
}

/// A class token in front of each sequence, whose parameter is repeated for the batch.
struct Token {
    class: Parameter,
    block: TransformerEncoderLayer,
}
impl Layer for Token {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let (n, d) = (x.dims()[0], x.dims()[2]);
        let class = self.class.get().broadcast_to((n, 1, d))?;
        let places = Tensor::arange(0f32, d as f32, &Device::Cpu)?.broadcast_to((n, 1, d))?;
        let all = Tensor::cat(&[(class + places)?, x.clone()], 1)?;
        ctx.call("block", &self.block, &all)?.i((.., 0))
    }
    tealight::fields!(class, block);
}

/// An operation of a user's own, which says itself what it is: x³.
#[derive(Debug)]
struct Cube;
impl Op<1> for Cube {
    const NAME: &'static str = "cube";
    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        Ok((x.sqr()? * x)?)
    }
    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some((grad * (saved.input(0)?.sqr()? * 3.0)?)?)])
    }
    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let (x, three) = (onnx.input(0), onnx.number(3.0, onnx.dtype(0)?)?);
        Ok(onnx.node("Pow", &[x, three], &[]))
    }
}

/// What is exported: the model, its input, and how.
struct Case {
    name: String,
    model: Box<dyn Layer>,
    shape: Vec<usize>,
    integers: Option<(DType, usize)>,
    dtype: DType,
    fixed: bool,
    axis: usize,
    /// Axis 1 may have any size.
    steps: bool,
    unrolled: bool,
}

impl Case {
    fn words(self, dtype: DType, count: usize) -> Self {
        Case { integers: Some((dtype, count)), ..self }
    }

    fn steps(self) -> Self {
        Case { name: format!("{}_steps", self.name), steps: true, ..self }
    }

    fn unrolled(self) -> Self {
        Case { name: format!("{}_unrolled", self.name), unrolled: true, ..self }
    }

    /// The same in f64.
    fn wide(self) -> Result<Self> {
        self.model.to_dtype(DType::F64)?;
        Ok(Case { name: format!("{}_f64", self.name), dtype: DType::F64, ..self })
    }

    fn input(&self, batch: usize, rng: &mut Rng) -> Result<Tensor> {
        let mut shape = self.shape.clone();
        shape[self.axis] = batch;
        if self.steps {
            shape[1] += batch - 1;
        }
        match self.integers {
            None => Tensor::randn_dtype(0.0, 1.0, shape, self.dtype, rng),
            Some((dtype, count)) => {
                let numbers: Vec<i64> =
                    (0..shape.iter().product()).map(|_| rng.below(count) as i64).collect();
                Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)
            }
        }
    }

    fn write(&self, dir: &Path) -> Result<()> {
        let rng = &mut Rng::seed(7);
        let mut export = OnnxExport::new(&self.shape).batch_axis(self.axis);
        if let Some((dtype, count)) = self.integers {
            export = export.integers(dtype, count);
        }
        // tests/engines/run tries newer ones.
        if let Some(opset) = std::env::var("ONNX_OPSET").ok().and_then(|opset| opset.parse().ok()) {
            export = export.opset(opset);
        }
        if self.fixed {
            export = export.fixed_batch();
        }
        if self.steps {
            export = export.free_axis("input", 1, "steps");
        }
        if self.unrolled {
            export = export.unrolled();
        }
        if self.dtype == DType::F64 {
            export = export.floats(DType::F64);
        }
        export
            .write(dir.join(format!("{}.onnx", self.name)), self.model.as_ref())
            .map_err(|e| e.context(self.name.as_str()))?;
        let own = self.shape[self.axis];
        let batches = if self.fixed { vec![own; 3] } else { vec![1, own, 5] };
        let mut arrays = BTreeMap::new();
        for (i, batch) in batches.into_iter().enumerate() {
            let x = self.input(batch, rng)?;
            let file =
                |x: &Tensor| if x.dtype() == DType::U32 { x.to_dtype(DType::I64) } else { Ok(x.clone()) };
            arrays.insert(format!("input_{i}"), file(&x)?);
            arrays.insert(format!("output_{i}"), file(&self.model.predict(&x)?)?);
        }
        write_npz(dir.join(format!("{}.npz", self.name)), &arrays)
    }
}

fn case(name: &str, model: impl Layer + 'static, shape: &[usize]) -> Case {
    let (name, shape) = (name.to_string(), shape.to_vec());
    Case {
        name,
        model: Box::new(model),
        shape,
        integers: None,
        dtype: DType::F32,
        fixed: false,
        axis: 0,
        steps: false,
        unrolled: false,
    }
}

fn lambda(
    name: &str,
    shape: &[usize],
    f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Case {
    case(name, Lambda::new(f), shape)
}

/// One whose buffers have seen some data.
fn used(case: Case) -> Result<Case> {
    let x = case.input(6, &mut Rng::seed(3))?;
    for _ in 0..5 {
        case.model.forward(&((&x * 2.0)? + 0.5)?, &mut ForwardContext::train(Rng::seed(4)))?;
    }
    Ok(case)
}

fn activations() -> Vec<Case> {
    let x = &[2, 200];
    vec![
        case("act_elu", Elu::default(), x),
        case("act_selu", Selu, x),
        case("act_celu", Celu::default(), x),
        case("act_gelu", Gelu, x),
        case("act_gelu_tanh", GeluTanh, x),
        case("act_hard_sigmoid", HardSigmoid, x),
        case("act_hard_swish", HardSwish, x),
        case("act_hard_tanh", HardTanh::default(), x),
        case("act_relu6", Relu6, x),
        case("act_leaky_relu", LeakyRelu::default(), x),
        case("act_log_sigmoid", LogSigmoid, x),
        case("act_mish", Mish, x),
        case("act_relu", Relu, x),
        case("act_sigmoid", Sigmoid, x),
        case("act_silu", Silu, x),
        case("act_softplus", Softplus::default(), x),
        case("act_softsign", Softsign, x),
        case("act_tanh", Tanh, x),
        case("act_tanhshrink", Tanhshrink, x),
        case("act_threshold", Threshold { threshold: 0.3, value: -1.5 }, x),
        case("act_own", Bell, x),
        case("formulas", Formulas, &[3, 40]),
    ]
}

/// Those that engines know in f64.
fn wide_activations() -> Result<Vec<Case>> {
    let x = &[2, 200];
    Ok(vec![
        case("act_relu", Relu, x).wide()?,
        case("act_leaky_relu", LeakyRelu::default(), x).wide()?,
        case("act_sigmoid", Sigmoid, x).wide()?,
        case("act_softplus", Softplus::default(), x).wide()?,
        case("act_silu", Silu, x).wide()?,
        case("act_hard_tanh", HardTanh::default(), x).wide()?,
        case("act_selu", Selu, x).wide()?,
    ])
}

/// The steps of a recurrent layer, and its last state in each layer and direction.
struct States(Lstm);
impl Layer for States {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let (y, [h, c]) = self.0.forward_with_state(x, None, ctx)?;
        Tensor::cat(
            &[y.flatten(1, -1)?, h.transpose(0, 1)?.flatten(1, -1)?, c.transpose(0, 1)?.flatten(1, -1)?],
            1,
        )
    }
    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.layer("lstm", &self.0);
    }
}

/// The last state of a recurrent layer.
struct LastState(Lstm);
impl Layer for LastState {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let (_, [h, c]) = self.0.forward_with_state(x, None, ctx)?;
        Tensor::cat(&[h.i(0)?, c.i(0)?], 1)
    }
    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.layer("lstm", &self.0);
    }
}

/// x·W·x + b for each row.
struct Square(Bilinear);
impl Layer for Square {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.0.apply(x, x)
    }
    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.layer("map", &self.0);
    }
}

/// More options of layers.
fn options(rng: &mut Rng) -> Result<Vec<Case>> {
    let (image, line, steps) = (&[2, 4, 9, 7], &[2, 4, 11], &[2, 6, 3]);
    let one = ConvOptions::<1>::new;
    let two = ConvOptions::<2>::new;
    let plain = RnnOptions::new;
    Ok(vec![
        case("bilinear", Square(Bilinear::new(4, 4, 3, rng)?), &[2, 4]),
        case("conv1d_no_bias", Conv1d::new(4, 6, 3, one(), rng)?.without_bias(), line),
        case("conv1d_reflect", Conv1d::new(4, 6, 3, one().padding(2).padding_mode(Pad::Reflect), rng)?, line),
        case(
            "conv2d_replicate",
            Conv2d::new(4, 6, 3, two().padding(1).padding_mode(Pad::Replicate), rng)?,
            image,
        ),
        case("conv2d_depthwise", Conv2d::new(4, 8, 3, two().groups(4), rng)?, image),
        case("conv2d_pointwise", Conv2d::new(4, 8, 1, two(), rng)?, image),
        case(
            "conv_transpose1d_groups",
            ConvTranspose1d::new(4, 6, 3, one().padding(1).groups(2), rng)?,
            line,
        ),
        case("adaptive_avg_pool1d_one", AdaptiveAvgPool1d::new(1), line),
        case("adaptive_max_pool1d", AdaptiveMaxPool1d::new(4), line),
        case("max_pool2d_plain", MaxPool2d::new(PoolOptions::new(2)), image),
        case("avg_pool2d_plain", AvgPool2d::new(PoolOptions::new(2)), image),
        case("max_pool1d_plain", MaxPool1d::new(PoolOptions::new(2)), line),
        used(case("batch_norm2d", BatchNorm2d::new(4)?, image).wide()?)?,
        case("layer_norm_no_bias", LayerNorm::new(6)?.without_bias(), &[2, 3, 6]),
        case("rms_norm_eps", RmsNorm::new((3, 6))?.eps(0.1)?, &[2, 3, 6]),
        case("group_norm_of_rows", GroupNorm::new(2, 4)?, &[2, 4]),
        case("linear_wide", Linear::new(300, 200, rng)?, &[2, 300]),
        case("rnn_both", Rnn::new(3, 5, plain().bidirectional(), rng)?, steps),
        case("rnn_relu_both", Rnn::new(3, 5, plain().bidirectional(), rng)?.relu(), steps),
        case("rnn", Rnn::new(3, 5, plain(), rng)?, steps).steps(),
        case("rnn", Rnn::new(3, 5, plain(), rng)?, steps).unrolled(),
        case("lstm_no_bias", Lstm::new(3, 5, plain().without_bias(), rng)?, steps),
        case("lstm_both", Lstm::new(3, 5, plain().bidirectional(), rng)?, steps),
        case("lstm", Lstm::new(3, 5, plain(), rng)?, steps).steps(),
        case("lstm", Lstm::new(3, 5, plain(), rng)?, steps).unrolled(),
        case("lstm", Lstm::new(3, 5, plain(), rng)?, steps).wide()?,
        case("lstm_long", Lstm::new(8, 32, plain(), rng)?, &[2, 1000, 8]),
        case("lstm_states", States(Lstm::new(3, 5, plain().layers(2).bidirectional(), rng)?), steps),
        case("lstm_one_step", Lstm::new(3, 5, plain(), &mut Rng::seed(2))?, &[2, 1, 3]),
        // As many steps as the larger batch has sequences: no shape tells the axes apart.
        case("lstm_square", Lstm::new(3, 5, plain(), &mut Rng::seed(2))?, &[2, 5, 3]),
        case("lstm_last_state", LastState(Lstm::new(3, 5, plain(), &mut Rng::seed(2))?), steps),
        Case { axis: 1, ..case("lstm_time_first", Lstm::new(3, 5, plain().time_first(), rng)?, &[6, 2, 3]) },
        case("gru_no_bias", Gru::new(3, 5, plain().without_bias(), rng)?, steps),
        case("gru_deep", Gru::new(3, 5, plain().layers(2).bidirectional(), rng)?, steps),
        case("gru", Gru::new(3, 5, plain(), rng)?, steps).steps(),
        case("gru", Gru::new(3, 5, plain(), rng)?, steps).unrolled(),
        case("attention", MultiHeadAttention::new(8, 2, rng)?, &[2, 5, 8]).steps(),
        case("transformer", TransformerEncoderLayer::new(8, 2, 16, rng)?, &[2, 5, 8]).steps(),
        case("embedding", Embedding::new(20, 5, rng)?, &[2, 7]).words(DType::I64, 20).steps(),
        case("standardize", Standardize::fit(&Tensor::randn(3f32, 2.0, (50, 6), rng)?)?, &[2, 6]).wide()?,
    ])
}

fn layers(rng: &mut Rng) -> Result<Vec<Case>> {
    let image = &[2, 4, 9, 7];
    let (line, conv) = (ConvOptions::<1>::new, ConvOptions::<2>::new);
    Ok(vec![
        case("linear", Linear::new(6, 4, rng)?, &[2, 6]),
        case("linear", Linear::new(6, 4, rng)?, &[2, 6]).wide()?,
        case("linear_no_bias", Linear::new(6, 4, rng)?.without_bias(), &[2, 6]),
        case("linear_of_sequences", Linear::new(6, 4, rng)?, &[2, 3, 6]),
        case("conv1d", Conv1d::new(4, 6, 3, line().stride(2).padding(1), rng)?, &[2, 4, 11]),
        case("conv1d_dilated", Conv1d::new(4, 6, 3, line().dilation(2).groups(2), rng)?, &[2, 4, 11]),
        case("conv2d", Conv2d::new(4, 6, 3, conv().padding(1), rng)?, image),
        case(
            "conv2d_options",
            Conv2d::new(4, 6, [3, 2], conv().stride([2, 1]).padding([1, 0]).dilation([1, 2]).groups(2), rng)?,
            image,
        ),
        case("conv2d_no_bias", Conv2d::new(4, 6, 3, conv(), rng)?.without_bias(), image),
        case(
            "conv_transpose1d",
            ConvTranspose1d::new(4, 6, 3, line().stride(2).output_padding(1), rng)?,
            &[2, 4, 5],
        ),
        case(
            "conv_transpose2d",
            ConvTranspose2d::new(4, 6, 3, conv().stride(2).padding(1).output_padding(1).groups(2), rng)?,
            image,
        ),
        case(
            "conv_transpose2d_dilated",
            ConvTranspose2d::new(4, 3, [3, 2], conv().stride([1, 3]).dilation([2, 1]), rng)?.without_bias(),
            image,
        ),
        case("conv1d_same", Conv1d::new(4, 6, 4, line().padding(ConvPadding::Same), rng)?, &[2, 4, 11]),
        case("conv2d_uneven", Conv2d::new(4, 6, 3, conv().stride(2).padding([(2, 0), (0, 1)]), rng)?, image),
        case(
            "conv2d_circular",
            Conv2d::new(4, 6, 3, conv().padding([2, 1]).padding_mode(Pad::Circular), rng)?,
            image,
        ),
        case(
            "conv_transpose2d_uneven",
            ConvTranspose2d::new(4, 6, 3, conv().stride(2).padding([(2, 0), (0, 1)]).output_padding(1), rng)?,
            image,
        ),
        case("adaptive_max_pool2d", AdaptiveMaxPool2d::new([4, 3]), image),
        case("adaptive_avg_pool1d", AdaptiveAvgPool1d::new(4), &[2, 4, 11]),
        case(
            "max_pool2d_ceil",
            MaxPool2d::new(PoolOptions::new(3).stride(2).padding(1).ceil_mode(true)),
            image,
        ),
        case("max_pool1d_ceil", MaxPool1d::new(PoolOptions::new(2).stride(4).ceil_mode(true)), &[2, 4, 10]),
        case("avg_pool2d_ceil", AvgPool2d::new(PoolOptions::new(2).padding(1).ceil_mode(true)), image),
        case(
            "avg_pool1d_ceil",
            AvgPool1d::new(PoolOptions::new(3).stride(2).padding(1).ceil_mode(true)),
            &[2, 4, 10],
        ),
        case(
            "avg_pool2d_ceil_inside",
            AvgPool2d::new(PoolOptions::new(2).padding(1).ceil_mode(true).count_include_pad(false)),
            image,
        ),
        case("max_pool1d", MaxPool1d::new(PoolOptions::new(3).stride(2).padding(1)), &[2, 4, 11]),
        case(
            "max_pool2d",
            MaxPool2d::new(PoolOptions::new([3, 2]).stride([2, 1]).padding([1, 1]).dilation([1, 2])),
            image,
        ),
        case("avg_pool1d", AvgPool1d::new(PoolOptions::new(3).stride(2).padding(1)), &[2, 4, 11]),
        case("avg_pool2d", AvgPool2d::new(PoolOptions::new(3).stride([2, 1]).padding(1)), image),
        case(
            "avg_pool2d_inside",
            AvgPool2d::new(PoolOptions::new(3).stride(2).padding(1).count_include_pad(false)),
            image,
        ),
        case("adaptive_avg_pool2d", AdaptiveAvgPool2d::new([4, 3]), image),
        case("adaptive_avg_pool2d_one", AdaptiveAvgPool2d::new([1, 1]), image),
        case("upsample_nearest", Upsample::by([2, 3]), image),
        case("upsample_nearest_to", Upsample::to([13, 5]), image),
        case("upsample_bilinear", Upsample::by(2).bilinear(false), image),
        case("upsample_bilinear_corners", Upsample::by([2, 3]).bilinear(true), image),
        case("upsample_bilinear_to", Upsample::to([13, 10]).bilinear(false), image),
        case("upsample_bilinear_corners_to", Upsample::to([13, 5]).bilinear(true), image),
        used(case("batch_norm1d", BatchNorm1d::new(5)?, &[3, 5]))?,
        used(case("batch_norm2d", BatchNorm2d::new(4)?, image))?,
        used(case("batch_norm2d_plain", BatchNorm2d::new(4)?.without_affine(), image))?,
        used(case("batch_norm1d", BatchNorm1d::new(5)?, &[3, 5]).wide()?)?,
        case("layer_norm", LayerNorm::new(6)?, &[2, 3, 6]).wide()?,
        case("layer_norm_plain", LayerNorm::new(6)?.without_affine(), &[2, 3, 6]),
        case("batch_norm2d_of_the_batch", BatchNorm2d::new(4)?.without_running_stats(), image),
        case("layer_norm", LayerNorm::new(6)?, &[2, 3, 6]),
        case("layer_norm_two_axes", LayerNorm::new((3, 6))?, &[2, 3, 6]),
        case("rms_norm", RmsNorm::new(6)?, &[2, 3, 6]),
        case("group_norm", GroupNorm::new(2, 4)?, image),
        case("instance_norm", InstanceNorm::new(4).affine()?, image),
        case("prelu", PRelu::new()?, &[2, 5]),
        case("prelu_channels", PRelu::per_channel(4)?, image),
        case("glu", Glu::new(-1), &[2, 8]),
        case("glu_channels", Glu::new(1), image),
        case("softmax", Softmax::new(-1), &[2, 5]),
        case("log_softmax", LogSoftmax::new(1), image),
        case("softmin", Softmin::new(1), &[2, 5]),
        case("dropout", Sequential::new().push(Dropout::new(0.5)?).push(Linear::new(3, 2, rng)?), &[2, 3]),
        case("dropout_alone", Dropout::new(0.5)?, &[2, 3]),
        case("flatten", Flatten, image),
        case("reshape", Reshape::new([2, 3]), &[2, 6]),
        case("residual", Residual::new(Sequential::new().push(Linear::new(6, 6, rng)?).push(Gelu)), &[2, 6]),
        case("normalize_rows", NormalizeRows::default(), &[2, 6]),
        case("standardize", Standardize::fit(&Tensor::randn(3f32, 2.0, (50, 6), rng)?)?, &[2, 6]),
        case(
            "standardize_back",
            Standardize::fit(&Tensor::randn(3f32, 2.0, (50, 6), rng)?)?.inverse(),
            &[2, 6],
        ),
        case("min_max", MinMax::fit(&Tensor::randn(3f32, 2.0, (50, 6), rng)?)?, &[2, 6]),
        case("embedding_u32", Embedding::new(20, 5, rng)?, &[2, 7]).words(DType::U32, 20),
        case("embedding_i64", Embedding::new(20, 5, rng)?.padding_idx(0)?, &[2, 7]).words(DType::I64, 20),
        case("embedding_u8", Embedding::new(20, 5, rng)?, &[2, 7]).words(DType::U8, 20),
        case("rnn", Rnn::new(3, 5, RnnOptions::new(), rng)?, &[2, 6, 3]),
        case("rnn_relu", Rnn::new(3, 5, RnnOptions::new().without_bias(), rng)?.relu(), &[2, 6, 3]),
        case("lstm", Lstm::new(3, 5, RnnOptions::new(), rng)?, &[2, 6, 3]),
        case("lstm_deep", Lstm::new(3, 5, RnnOptions::new().layers(2).bidirectional(), rng)?, &[2, 6, 3]),
        case("gru", Gru::new(3, 5, RnnOptions::new(), rng)?, &[2, 6, 3]),
        case("gru", Gru::new(3, 5, RnnOptions::new(), rng)?, &[2, 6, 3]).wide()?,
        Case {
            axis: 1,
            ..case("gru_time_first", Gru::new(3, 5, RnnOptions::new().time_first(), rng)?, &[6, 2, 3])
        },
        case("attention", MultiHeadAttention::new(8, 2, rng)?, &[2, 5, 8]),
        case("attention_causal", Causal(MultiHeadAttention::new(8, 2, rng)?), &[2, 5, 8]),
        case("transformer", TransformerEncoderLayer::new(8, 2, 16, rng)?, &[2, 5, 8]),
        case(
            "transformer_norm_first",
            TransformerEncoderLayer::new(8, 2, 16, rng)?.norm_first().activation(Gelu),
            &[2, 5, 8],
        ),
        case("transformer", TransformerEncoderLayer::new(8, 2, 16, rng)?, &[2, 5, 8]).wide()?,
    ])
}

fn operations() -> Vec<Case> {
    let x = &[2, 3, 4];
    let all = |name: &str, f: fn(&Tensor) -> Result<Tensor>| lambda(name, x, f);
    vec![
        all("op_sum", |x| x.sum(1)),
        all("op_sum_axes", |x| x.sum_keepdim([1, 2])),
        all("op_sum_all", |x| x.sum_all()),
        all("op_mean", |x| x.mean_all()? * x),
        all("op_max", |x| x.max(2)? - x.min(2)?),
        all("op_prod", |x| x.prod([1, 2])),
        all("op_var", |x| x.var(1, 0)? + x.var(1, 1)?),
        all("op_std", |x| x.std_keepdim([1, 2], 1)? * x),
        all("op_logsumexp", |x| (x * 50.0)?.logsumexp(1)? + x.logsumexp_all()?),
        all("op_norm", |x| {
            Tensor::stack(
                &[
                    x.norm(2.0, 1)?,
                    x.norm(1.0, 1)?,
                    x.norm(3.0, 1)?,
                    x.norm(f64::INFINITY, 1)?,
                    x.norm(0.0, 1)?,
                ],
                1,
            )
        }),
        all("op_cumsum", |x| x.cumsum(1)),
        all("op_matmul", |x| x.matmul(&x.t()?)),
        all("op_matvec", |x| x.matmul(&Tensor::arange(0f32, 4.0, &Device::Cpu)?)),
        all("op_dot", |x| x.sum([0, 1])?.dot(&x.max([0, 1])?)? * x.mean(0)?),
        all("op_outer", |x| x.sum([0, 1])?.outer(&x.max([0, 2])?)),
        all("op_einsum", |x| Tensor::einsum("bij,bkj->bik", &[x, x])),
        all("op_shapes", |x| x.flatten(0, 1)?.unsqueeze(1)?.transpose(0, 2)?.squeeze(1)?.permute(&[1, 0])),
        all("op_cat_stack", |x| Tensor::cat(&[Tensor::stack(&[x, x], 1)?, x.unsqueeze(1)?], 1)),
        all("op_cat_batch", |x| Tensor::cat(&[x, &(x * 2.0)?], 0)),
        all("op_slices", |x| x.i((.., 1.., ops::step(.., 2)))? + x.narrow(1, 0, 2)?.narrow(2, 1, 2)?),
        all("op_select", |x| x.i((.., -1))? + x.i((.., 0))?),
        all("op_flip_roll", |x| x.flip(&[1, 2])? + x.roll(1, 2)?),
        all("op_repeat", |x| x.repeat(2, 1)?.tile(&[1, 1, 2])),
        all("op_pad", |x| x.pad(&[(1, 2), (0, 1)], Pad::Constant(0.5))),
        all("op_pad_reflect", |x| {
            x.pad(&[(1, 2), (2, 1)], Pad::Reflect)? + x.pad(&[(1, 2), (2, 1)], Pad::Replicate)?
        }),
        all("op_index_select", |x| x.index_select(2, &Tensor::new(&[3_u32, 0, 0], &Device::Cpu)?)),
        all("op_gather", |x| x.gather(1, &x.argmax(1)?.unsqueeze(1)?)),
        all("op_where", |x| x.gt(0.5)?.where_cond(x, &x.neg()?)? + x.masked_fill(&x.le(0.0)?, -2.0)?),
        all("op_compare", |x| {
            (((x.ge(0.0)?.to_dtype(DType::F32)? + x.lt(1.0)?.to_dtype(DType::F32)?)?
                + x.ne(x)?.to_dtype(DType::F32)?)?
                + x.eq(x)?.ne(0.0)?.to_dtype(DType::F32)?)?
                * 2.0
        }),
        all("op_mask", |x| x.gt(0.0)),
        all("op_counts", |x| {
            Tensor::stack(
                &[
                    x.gt(0.0)?.sum(1)?,
                    x.gt(0.5)?.any(1)?.to_dtype(DType::U32)?,
                    x.lt(1.5)?.all(1)?.to_dtype(DType::U32)?,
                    x.gt(-1.0)?.count_nonzero(1)?,
                ],
                1,
            )
        }),
        all("op_mask_max", |x| x.gt(0.0)?.max(1)),
        all("op_minmax", |x| x.maximum(0.25)? * x.minimum(&x.neg()?)?),
        all("op_powers", |x| {
            ((x.sqr()?.sqrt()? + x.abs()?.powf(1.5)?)? + x.exp()?.ln()?)? + x.remainder(0.7)?
        }),
        all("op_argmax", |x| x.argmax(2)),
        all("op_argmin_all", |x| x.argmin_all()),
        all("op_one_hot", |x| x.argmax(2)?.one_hot(4, DType::F32)? * x),
        all("op_tril", |x| x.tril(0)? + x.triu(1)?),
        all("op_normalize_rows", |x| x.normalize_rows(2.0)? - x.relu()?.normalize_rows(2.0)?),
        all("op_to_dtype", |x| x.to_dtype(DType::F64)?.sin()?.to_dtype(DType::F32)),
        // What e^x of is no f32, or cancels: an engine that computes the formula as it stands is infinite or wrong here.
        all("op_far_activations", |x| {
            let x = (x * 80.0)?;
            let y = [
                Softplus::default().apply(&x)?,
                LogSigmoid.apply(&x)?,
                Mish.apply(&x)?,
                Silu.apply(&x)?,
                Gelu.apply(&x)?,
                Elu::default().apply(&x)?,
            ];
            Tensor::cat(&y, 2)
        }),
        all("op_far_softmax", |x| {
            let x = (x * 80.0)?;
            Tensor::cat(&[x.log_softmax(2)?, x.softmax(2)?, x.logsumexp_keepdim(2)?], 2)
        }),
        all("op_far_var", |x| (x + 500.0)?.var_keepdim(2, 0)),
        all("op_own", |x| Cube.apply([x])? + x),
        all("op_identity", |x| Ok(x.clone())),
        all("op_sort", |x| x.sort(1, false)?.0 + x.sort(1, true)?.0),
        all("op_sort_ties", |x| Ok((x * 2.0)?.round()?.sort(2, false)?.0)),
        all("op_topk", |x| Ok(x.topk(2, 2)?.0)),
        all("op_topk_indices", |x| Ok(x.topk(3, 2)?.1)),
        all("op_argsort", |x| x.argsort(1, true)),
        all("op_median", |x| Ok(x.median(2)?.0)),
        all("op_cumprod", |x| x.cumprod(2)),
        all("op_cumsum_last", |x| x.cumsum(2)),
        all("op_scatter", |x| x.scatter(1, &x.argmax(1)?.unsqueeze(1)?, &x.sum_keepdim(1)?)),
        all("op_scatter_add", |x| x.scatter_add(2, &x.argsort(2, false)?, &x.exp()?)),
        all("op_index_add", |x| x.index_add(1, &Tensor::new(&[2_u32, 0, 2], &Device::Cpu)?, &x.exp()?)),
        all("op_index_by_one", |x| x.i((.., .., &Tensor::new(&[-1_i64, 0, 1], &Device::Cpu)?))),
        all("op_index_by_matrix", |x| x.i((.., &Tensor::new(&[[2_u32, 0], [1, 1]], &Device::Cpu)?))),
        all("op_index_by_two", |x| {
            let (i, j) =
                (Tensor::new(&[0_i64, -1], &Device::Cpu)?, Tensor::new(&[[3_i64], [0]], &Device::Cpu)?);
            x.i((.., &i, &j))
        }),
        all("op_index_by_input", |x| x.sum([0, 1])?.i(&x.argmax(2)?)),
        all("op_trig", |x| {
            ((x.tan()? * 0.1)? + x.tanh()?.asin()?.clamp(-0.5, 0.5)?)? + x.atan2(&x.exp()?)?
        }),
        all("op_hyperbolic", |x| (x.sinh()? + x.cosh()?)? * x.tanh()?),
        all("op_logs", |x| {
            let y = x.exp()?;
            (y.log2()? + y.log10()?)? + (y.log1p()? + x.expm1()?)?
        }),
        all("op_rounding", |x| {
            ((x * 3.0)?.floor()? + (x * 3.0)?.ceil()?)? + ((x * 3.0)?.trunc()? + (x * 3.0)?.round()?)?
        }),
        all("op_logaddexp", |x| (x * 100.0)?.logaddexp(x)),
        all("op_lerp", |x| x.lerp(&x.exp()?, 0.3)? + x.addcmul(x, x, 0.5)?),
        all("op_fmod", |x| x.fmod(0.7)? + x.remainder(-0.7)?),
        all("op_minimum", |x| x.minimum(0.25)? + x.clamp(-0.5, 0.5)?),
        all("op_fmax", |x| x.fmax(&x.neg()?)? - x.fmin(&x.sqr()?)?),
        all("op_max_pair", |x| x.maximum(&x.sqr()?)),
        all("op_reciprocal", |x| (x.exp()?.recip()? + x.exp()?.rsqrt()?)? + x.sign()?),
        all("op_erf", |x| x.erf()? - x.erfc()?),
        all("op_pow", |x| x.exp()?.powf(2.5)? + x.powf(3.0)?),
        all("op_xlogy", |x| x.relu()?.xlogy(&x.exp()?)),
        all("op_max_axes", |x| x.max([1, 2])? + x.min_all()?),
        all("op_logsumexp_kept", |x| x.logsumexp_keepdim([1, 2])? - x),
        all("op_softmax_large", |x| (x * 200.0)?.log_softmax(1)? + (x * 200.0)?.softmax(2)?),
        all("op_norm_far", |x| (x * 1e3)?.norm_keepdim(2.0, 2)? / x.norm_keepdim(2.0, 1)?),
        all("op_cosine", |x| x.cosine_similarity(&x.exp()?, 2)),
        all("op_distance", |x| x.pairwise_distance(&x.exp()?, 2.0)),
        all("op_split", |x| Tensor::cat(&x.chunk(2, 2)?.into_iter().rev().collect::<Vec<_>>(), 2)),
        all("op_broadcast", |x| x.sum_keepdim(1)?.broadcast_to(x.dims())? * x),
        all("op_var_f32_large", |x| (x + 100.0)?.var_keepdim([1, 2], 1)),
        all("op_einsum_batch", |x| Tensor::einsum("bij->bji", &[x])? * 2.0),
        all("op_any_all", |x| {
            x.gt(1.0)?.any_keepdim(2)?.to_dtype(DType::F32)?
                + x.lt(1.0)?.all_keepdim(2)?.to_dtype(DType::F32)?
        }),
        all("op_masks", |x| x.gt(0.0)?.where_cond(&x.lt(1.0)?.where_cond(x, &x.zeros_like()?)?, &x.neg()?)),
        all("op_floor_f32_half", |x| (x * 0.5)?.floor()? + (x * 2.0)?.round()? * 0.5),
        lambda("op_image_alone", &[3, 8, 6], |x| {
            let part = x.i(0)?.unsqueeze(0)?;
            part.max_pool2d(PoolOptions::new(2))? + part.avg_pool2d(PoolOptions::new(2))?
        }),
        Case { fixed: true, ..lambda("op_fixed", &[4, 3], |x| x.t()?.reshape((2, 6))?.softmax(0)) },
    ]
}

fn wide_operations() -> Result<Vec<Case>> {
    let wide = |name: &str, f: fn(&Tensor) -> Result<Tensor>| lambda(name, &[2, 3, 4], f).wide();
    Ok(vec![
        wide("op_sum", |x| x.sum(1)? + x.mean(1)?)?,
        wide("op_logsumexp", |x| (x * 500.0)?.logsumexp(1))?,
        wide("op_norm", |x| x.norm(2.0, 1)? + x.norm(3.0, 1)?)?,
        wide("op_softmax", |x| x.softmax(2)?.ln()? - x.log_softmax(2)?)?,
        wide("op_matmul", |x| x.matmul(&x.t()?))?,
        wide("op_minmax", |x| x.maximum(0.25)? * x.minimum(-0.25)?)?,
        wide("op_sort", |x| Ok(x.sort(2, true)?.0))?,
        wide("op_normalize_rows", |x| x.normalize_rows(2.0))?,
        wide("op_where", |x| x.gt(0.0)?.where_cond(x, &x.exp()?))?,
    ])
}

fn models(rng: &mut Rng) -> Result<Vec<Case>> {
    let mlp = Sequential::new()
        .push(Linear::new(64, 32, rng)?)
        .push(Relu)
        .push(Dropout::new(0.2)?)
        .push(Linear::new(32, 10, rng)?);
    let conv = |i, o, rng: &mut Rng| Conv2d::new(i, o, 3, ConvOptions::new().padding(1), rng);
    let cnn = Sequential::new()
        .push(conv(1, 8, rng)?)
        .push(BatchNorm2d::new(8)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(conv(8, 16, rng)?)
        .push(BatchNorm2d::new(16)?)
        .push(Silu)
        .push(AdaptiveAvgPool2d::new([1, 1]))
        .push(Flatten)
        .push(Linear::new(16, 10, rng)?)
        .push(LogSoftmax::new(1));
    let reader = Reader {
        words: Embedding::new(50, 8, rng)?,
        lstm: Lstm::new(8, 12, RnnOptions::new(), rng)?,
        head: Linear::new(12, 3, rng)?,
    };
    // In integers of 8 bits, where a difference of 1 in one of them would be seen.
    let small = Sequential::new()
        .push(Lambda::new(|x| (x - 0.1)? * 0.7))
        .push(conv(1, 6, rng)?)
        .push(BatchNorm2d::new(6)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(conv(6, 8, rng)?)
        .push(AvgPool2d::new(PoolOptions::new(2)))
        .push(Relu)
        .push(Flatten)
        .push(Linear::new(32, 10, rng)?)
        .push(Softmax::default());
    let (pictures, rows) =
        (Tensor::randn(0f32, 1.0, (40, 1, 8, 8), rng)?, Tensor::randn(0f32, 1.0, (40, 64), rng)?);
    let any = Quantize::new().any_scale().model(&mlp, &rows)?;
    let (small_mlp, small) = (quantize(&mlp, &rows)?, quantize(&small, &pictures)?);
    let own = Own {
        inner: Linear::new(6, 6, rng)?,
        scale: Parameter::new(Tensor::randn(1f32, 0.5, 6, rng)?),
        norm: LayerNorm::new(6)?,
    };
    let token = Token {
        class: Parameter::new(Tensor::randn(0f32, 1.0, (1, 1, 8), rng)?),
        block: TransformerEncoderLayer::new(8, 2, 16, rng)?,
    };
    Ok(vec![
        case("model_mlp", mlp, &[1, 64]),
        used(case("model_cnn", cnn, &[2, 1, 12, 12]))?,
        case("model_reader", reader, &[2, 9]).words(DType::U32, 50),
        case("model_own_layer", own, &[2, 6]),
        case("model_token", token, &[2, 5, 8]),
        case("int8_mlp", small_mlp, &[1, 64]),
        case("int8_mlp_any_scale", any, &[1, 64]),
        case("int8_cnn", small, &[2, 1, 8, 8]),
    ])
}

/// An image and numbers about it, a class and a box.
struct Detector {
    conv: Conv2d,
    meta: Linear,
    class: Linear,
    place: Linear,
}
impl Layer for Detector {
    tealight::fields!(conv, meta, class, place);
}
impl Detector {
    fn run(&self, x: &[Tensor], ctx: &mut ForwardContext) -> Result<[Tensor; 2]> {
        let image = ctx.call("conv", &self.conv, &x[0])?.relu()?.flatten(1, -1)?;
        let meta = ctx.call("meta", &self.meta, &x[1])?.tanh()?;
        let h = Tensor::cat(&[image, meta], 1)?;
        Ok([ctx.call("class", &self.class, &h)?.softmax(-1)?, ctx.call("place", &self.place, &h)?])
    }

    /// A file with the names `image`, `meta`, `class` and `box`.
    fn write(dir: &Path, rng: &mut Rng) -> Result<()> {
        let model = Detector {
            conv: Conv2d::new(1, 3, 3, ConvOptions::new(), rng)?,
            meta: Linear::new(4, 2, rng)?,
            class: Linear::new(14, 3, rng)?,
            place: Linear::new(14, 4, rng)?,
        };
        let mut inputs = |n: usize| {
            Ok::<_, Error>([
                Tensor::randn(0.0, 1.0, (n, 1, 4, 4), rng)?,
                Tensor::randn(0.0, 1.0, (n, 4), rng)?,
            ])
        };
        let [image, meta] = inputs(1)?;
        OnnxExport::multi(&[("image", &image), ("meta", &meta)], &["class", "box"]).write_with(
            dir.join("model_detector.onnx"),
            &model,
            |x, ctx| model.run(x, ctx),
        )?;
        let mut arrays = BTreeMap::new();
        for (i, batch) in [1, 5, 2].into_iter().enumerate() {
            let x = inputs(batch)?;
            let y = model.run(&x, &mut ForwardContext::eval())?;
            for (name, array) in ["image", "meta", "class", "box"].into_iter().zip(x.into_iter().chain(y)) {
                arrays.insert(format!("{name}_{i}"), array.detach());
            }
        }
        write_npz(dir.join("model_detector.npz"), &arrays)
    }
}

/// Writes `dir/onnx/NAME.onnx` of each, and `NAME.npz` with inputs of several batch sizes and the outputs for them.
pub(crate) fn write(dir: &Path) -> Result<()> {
    let dir = &dir.join("onnx");
    std::fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
    let rng = &mut Rng::seed(1);
    let all = [
        activations(),
        wide_activations()?,
        layers(rng)?,
        options(rng)?,
        operations(),
        wide_operations()?,
        models(rng)?,
    ];
    all.iter().flatten().try_for_each(|case| case.write(dir))?;
    Detector::write(dir, rng)
}
