use super::*;

fn moments(x: &Tensor) -> Result<(f64, f64)> {
    let x = x.flatten(0, -1)?.to_dtype(DType::F64)?;
    let mean = x.mean_all()?;
    Ok((mean.to_scalar()?, (&x - &mean)?.sqr()?.mean_all()?.to_scalar()?))
}

#[test]
fn variances() -> Result<()> {
    let rng = &mut Rng::seed(3);
    let (dims, fan_in, fan_out) = ([40, 50, 5, 5], 1250.0, 1000.0);
    let near = |x: Result<Tensor>, variance: f64| -> Result<()> {
        let x = x?;
        assert_eq!(x.dims(), dims);
        let (mean, got) = moments(&x)?;
        assert!(mean.abs() < 0.02 * variance.sqrt() && (got / variance - 1.0).abs() < 0.03, "{got}");
        Ok(())
    };
    near(xavier_uniform(&dims, 2.0, rng), 8.0 / (fan_in + fan_out))?;
    near(xavier_normal(&dims, 2.0, rng), 8.0 / (fan_in + fan_out))?;
    near(kaiming_uniform(&dims, gain::RELU, Fan::In, rng), 2.0 / fan_in)?;
    near(kaiming_normal(&dims, gain::TANH, Fan::Out, rng), 25.0 / 9.0 / fan_out)?;
    near(lecun_normal(&dims, rng), 1.0 / fan_in)?;
    near(uniform(&dims, -3.0, 3.0, rng), 3.0)?;
    near(normal(&dims, 0.0, 0.1, rng), 0.01)?;
    // The variance of the normal distribution cut at ±2.
    near(truncated_normal(&dims, 0.0, 3.0, -6.0..6.0, rng), 9.0 * 0.7737413)?;
    near(truncated_normal(&dims, 0.0, 1.0, f64::NEG_INFINITY..f64::INFINITY, rng), 1.0)
}

#[test]
fn far_tails() -> Result<()> {
    let x = truncated_normal(10_000, 1.0, 2.0, 41.0..f64::INFINITY, &mut Rng::seed(1))?;
    // From 20 deviations on: the exponential distribution with 1/20 of a deviation, about.
    let (mean, _) = moments(&x)?;
    assert!((mean - 41.1).abs() < 0.005, "{mean}");
    assert!(x.to_vec1::<f32>()?.iter().all(|&x| x >= 41.0));
    let one = truncated_normal(1, 0.0, 1.0, 1e200..1e201, &mut Rng::seed(1))?;
    assert_eq!(one.dims(), [1]);
    Ok(())
}

#[test]
fn right_angles() -> Result<()> {
    let q = orthogonal((7, 2, 2), 3.0, &mut Rng::seed(1))?.reshape((7, 4))?;
    let product = q.t()?.matmul(&q)?.to_vec2::<f32>()?;
    for (i, row) in product.iter().enumerate() {
        for (j, &x) in row.iter().enumerate() {
            assert!((x - if i == j { 9.0 } else { 0.0 }).abs() < 1e-5, "{i} {j}: {x}");
        }
    }
    assert_eq!(orthogonal((0, 3), 1.0, &mut Rng::seed(1))?.dims(), [0, 3]);
    Ok(())
}

#[test]
fn refusals() {
    let rng = &mut Rng::seed(1);
    let error = xavier_normal(3, 1.0, rng).unwrap_err();
    assert_eq!(error.to_string(), "init: expected a weight (outputs, inputs, ..), got [3]");
    assert!(matches!(kaiming_uniform((2, 2), f64::NAN, Fan::In, rng), Err(Error::Argument { .. })));
    assert!(matches!(orthogonal((2, 2), f64::NAN, rng), Err(Error::Argument { .. })));
    assert!(matches!(orthogonal(2, 1.0, rng), Err(Error::Shape { .. })));
    for (std, bounds) in [(0.0, 0.0..1.0), (1.0, 1.0..0.0), (1.0, f64::INFINITY..f64::INFINITY)] {
        assert!(matches!(truncated_normal(1, 0.0, std, bounds, rng), Err(Error::Argument { .. })));
    }
    assert!(matches!(truncated_normal(1, f64::NAN, 1.0, 0.0..1.0, rng), Err(Error::Argument { .. })));
    assert!(matches!(constant((usize::MAX, 2), 1.0), Err(Error::Shape { .. })));
}
