use super::{Gru, Lstm, Recurrent, RecurrentCell, Rnn, RnnOptions, steps};
use crate::layer::gradcheck;
use crate::prelude::*;

fn both() -> RnnOptions {
    RnnOptions::new().layers(2).bidirectional().dropout(0.3)
}

#[test]
fn gradients() -> Result<()> {
    let x = Tensor::randn_dtype(0.0, 1.0, (2, 3, 2), DType::F64, &mut Rng::seed(1))?;
    let rng = &mut Rng::seed(2);
    let train = ForwardContext::train(Rng::seed(3));
    gradcheck(&Rnn::new(2, 2, RnnOptions::new().time_first(), rng)?, &x, &train)?;
    gradcheck(&Rnn::new(2, 2, RnnOptions::new(), rng)?.relu(), &x, &train)?;
    gradcheck(&Lstm::new(2, 2, RnnOptions::new().without_bias(), rng)?, &x, &train)?;
    gradcheck(&Gru::new(2, 2, RnnOptions::new(), rng)?, &x, &train)?;
    let short = x.narrow(1, 0, 2)?;
    gradcheck(&Rnn::new(2, 1, both(), rng)?, &short, &train)?;
    gradcheck(&Lstm::new(2, 1, both(), rng)?, &short, &train)?;
    gradcheck(&Gru::new(2, 1, both(), rng)?, &short, &train)?;
    Ok(())
}

/// By the first state and what is run from it.
fn state_gradients<C: RecurrentCell<S>, const S: usize>(layer: &Recurrent<C, S>) -> Result<()> {
    layer.to_dtype(DType::F64)?;
    let x = Tensor::randn_dtype(0.0, 1.0, (2, 3, 2), DType::F64, &mut Rng::seed(1))?;
    let mut inputs = vec![x];
    for seed in 0..S {
        inputs.push(Tensor::randn_dtype(0.0, 1.0, (1, 2, 2), DType::F64, &mut Rng::seed(seed as u64))?);
    }
    let run = |inputs: &[Tensor]| {
        let state = std::array::from_fn(|s| &inputs[1 + s]);
        let (y, last) = layer.forward_with_state(&inputs[0], Some(state), &mut ForwardContext::eval())?;
        let last: Vec<Tensor> = last.into_iter().map(|x| x.flatten(0, -1)).collect::<Result<_>>()?;
        Tensor::cat(&[&[y.flatten(0, -1)?][..], &last].concat(), 0)
    };
    autograd::gradcheck(run, &inputs)?;
    Ok(())
}

#[test]
fn gradients_of_the_state() -> Result<()> {
    let rng = &mut Rng::seed(4);
    state_gradients(&Rnn::new(2, 2, RnnOptions::new(), rng)?)?;
    state_gradients(&Lstm::new(2, 2, RnnOptions::new(), rng)?)?;
    state_gradients(&Gru::new(2, 2, RnnOptions::new(), rng)?)
}

#[test]
fn a_sequence_may_be_cut() -> Result<()> {
    let layer = Lstm::new(2, 4, RnnOptions::new().layers(2), &mut Rng::seed(1))?;
    let x = Tensor::randn(0.0, 1.0, (3, 9, 2), &mut Rng::seed(2))?;
    let ctx = &mut ForwardContext::eval();
    let (whole, [h, c]) = layer.forward_with_state(&x, None, ctx)?;
    let (first, [h1, c1]) = layer.forward_with_state(&x.narrow(1, 0, 4)?, None, ctx)?;
    let (second, [h2, c2]) = layer.forward_with_state(&x.narrow(1, 4, 5)?, Some([&h1, &c1]), ctx)?;
    let near = |a: &Tensor, b: &Tensor| -> Result<()> {
        assert!((a - b)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);
        Ok(())
    };
    near(&whole, &Tensor::cat(&[first, second], 1)?)?;
    near(&h, &h2)?;
    near(&c, &c2)?;
    // The last output is the last layer's state.
    near(&whole.i((.., 8))?, &h.i(1)?)
}

/// Each sequence as it is alone, whatever stands behind it.
#[test]
fn lengths() -> Result<()> {
    let x = Tensor::randn_dtype(0.0, 1.0, (3, 5, 2), DType::F64, &mut Rng::seed(1))?;
    let lengths = [2, 4, 1];
    let layer = Lstm::new(2, 3, RnnOptions::new().layers(2).bidirectional(), &mut Rng::seed(2))?;
    layer.to_dtype(DType::F64)?;
    let ctx = &mut ForwardContext::eval();
    let beyond =
        Tensor::new(&[0_u8, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1], &Device::Cpu)?.reshape((3, 5, 1))?;
    let spoilt = x.masked_fill(&beyond, f64::NAN)?.into_parameter();
    let (y, [h, c]) = layer.forward_with_lengths(&spoilt, &lengths, None, ctx)?;
    assert_eq!(y.dims(), [3, 5, 6]);
    assert_eq!(y.abs()?.masked_fill(&beyond.eq(0.0)?, 0.0)?.max_all()?.to_scalar::<f64>()?, 0.0);
    let near = |a: &Tensor, b: &Tensor| -> Result<()> {
        assert!((a - b)?.abs()?.max_all()?.to_scalar::<f64>()? < 1e-14);
        Ok(())
    };
    for (i, length) in lengths.into_iter().enumerate() {
        let alone = x.i((i..i + 1, ..length))?;
        let (expected, [h1, c1]) = layer.forward_with_state(&alone, None, ctx)?;
        near(&y.i((i..i + 1, ..length))?, &expected)?;
        near(&h.i((.., i..i + 1))?, &h1)?;
        near(&c.i((.., i..i + 1))?, &c1)?;
    }
    let gradients = (y.sqr()?.sum_all()? + h.sum_all()?)?.backward()?;
    let of_x = gradients.get(&spoilt).unwrap();
    assert_eq!(of_x.abs()?.masked_fill(&beyond.eq(0.0)?, 0.0)?.max_all()?.to_scalar::<f64>()?, 0.0);
    for (name, parameter) in layer.parameters() {
        let gradient = gradients.get(&parameter.get()).unwrap().sum_all()?.to_scalar::<f64>()?;
        assert!(gradient.is_finite(), "{name}");
    }
    // As without, where all are as long as the inputs.
    let (y, _) = layer.forward_with_lengths(&x, &[5; 3], None, ctx)?;
    assert_eq!(y, layer.forward(&x, ctx)?);
    for wrong in [&[2, 4][..], &[2, 4, 0], &[2, 4, 6]] {
        let error = layer.forward_with_lengths(&x, wrong, None, ctx).unwrap_err().to_string();
        assert_eq!(error, format!("lstm: expected 3 lengths from 1 to 5, got {wrong:?}"));
    }
    let empty = layer.forward_with_lengths(&x.narrow(0, 0, 0)?, &[], None, ctx)?;
    assert_eq!(empty.0.dims(), [0, 5, 6]);
    let run = |x: &[Tensor]| {
        Ok(layer.forward_with_lengths(&x[0], &[2, 1, 2], None, &mut ForwardContext::eval())?.0)
    };
    autograd::gradcheck(run, &[x.i((.., ..2))?])?;
    Ok(())
}

#[test]
fn thousands_of_steps_need_no_stack() {
    let train = || -> Result<()> {
        let layer = Lstm::new(3, 4, RnnOptions::new(), &mut Rng::seed(1))?;
        let x = Tensor::randn(0.0, 1.0, (2, 2000, 3), &mut Rng::seed(2))?.into_parameter();
        let y = layer.forward(&x, &mut ForwardContext::train(Rng::seed(3)))?;
        assert_eq!(y.dims(), [2, 2000, 4]);
        let gradients = y.sqr()?.mean_all()?.backward()?;
        for (name, parameter) in layer.parameters() {
            let gradient = gradients.get(&parameter.get()).unwrap().abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(gradient > 0.0 && gradient.is_finite(), "{name}: {gradient}");
        }
        assert_eq!(gradients.get(&x).unwrap().dims(), x.dims());
        Ok(())
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(train).unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn steps_are_in_order() -> Result<()> {
    for t in [1, 2, 3, 7, 8] {
        let x = Tensor::arange(0.0, 2.0 * t as f64, &Device::Cpu)?.reshape((t, 1, 2))?;
        let slices = steps(x.clone())?;
        assert_eq!((slices.len(), slices[0].dims()), (t, &[1, 2][..]));
        assert_eq!(Tensor::stack(&slices, 0)?, x);
    }
    Ok(())
}

#[test]
fn edges() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let layer = Lstm::new(3, 4, both(), rng)?;
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
    assert_eq!(layer.predict(&zeros(&[0, 2, 3])?)?.dims(), [0, 2, 8]);
    assert_eq!(layer.predict(&zeros(&[0, 1 << 50, 3])?)?.dims(), [0, 1 << 50, 8]);
    let error = layer.predict(&zeros(&[5, 0, 3])?).unwrap_err();
    assert_eq!(error.to_string(), "lstm: expected inputs of shape [n, t, 3] with t > 0, got [5, 0, 3]");
    assert!(layer.predict(&zeros(&[5, 3])?).is_err());
    let state = zeros(&[4, 5, 4])?;
    let error = layer
        .forward_with_state(&zeros(&[2, 6, 3])?, Some([&state, &state]), &mut ForwardContext::eval())
        .unwrap_err();
    assert_eq!(error.to_string(), "lstm: expected a state of shape [4, 2, 4], got [4, 5, 4]");
    let error = Gru::new(3, 4, RnnOptions::new().layers(0), rng).unwrap_err();
    assert_eq!(error.to_string(), "gru: expected one layer or more, got 0");
    assert!(Rnn::new(3, 4, both().dropout(2.0), rng).is_err());
    assert!(Rnn::new(3, usize::MAX, both(), rng).is_err());
    assert_eq!(Rnn::new(3, 0, both(), rng)?.predict(&zeros(&[1, 2, 3])?)?.dims(), [1, 2, 0]);
    let model = Sequential::new().push(Gru::new(3, 4, RnnOptions::new().time_first(), rng)?);
    assert!(model.summary(&[6, 2, 3])?.to_string().contains("0 (Gru)"));
    let error = model.predict(&zeros(&[6, 2, 4])?).unwrap_err();
    assert_eq!(error.to_string(), "0: gru: expected inputs of shape [t, n, 3] with t > 0, got [6, 2, 4]");
    Ok(())
}

#[test]
fn forget_biases() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let layer = Lstm::new(3, 4, both(), rng)?;
    let before: Vec<Tensor> =
        layer.parameters().iter().map(|(_, parameter)| parameter.get().detach()).collect();
    layer.init_forget_bias(11)?;
    let mut opened = 0;
    for ((name, parameter), before) in layer.parameters().iter().zip(&before) {
        let after = parameter.get().detach();
        if name.starts_with("bias_ih") {
            assert_eq!(after.narrow(0, 4, 4)?.to_vec1::<f32>()?, [10_f32.ln(); 4]);
            assert_eq!(after.narrow(0, 0, 4)?, before.narrow(0, 0, 4)?);
            assert_eq!(after.narrow(0, 8, 8)?, before.narrow(0, 8, 8)?);
            opened += 1;
        } else {
            assert_eq!(&after, before, "{name}");
        }
    }
    assert_eq!(opened, layer.weights.len());
    Lstm::new(3, 0, both(), rng)?.init_forget_bias(2)?;
    assert_eq!(
        layer.init_forget_bias(1).unwrap_err().to_string(),
        "init_forget_bias: expected two steps or more, got 1"
    );
    let bare = Lstm::new(3, 4, RnnOptions::new().without_bias(), rng)?;
    assert_eq!(
        bare.init_forget_bias(5).unwrap_err().to_string(),
        "init_forget_bias: expected a layer with biases, got one without"
    );
    Ok(())
}
