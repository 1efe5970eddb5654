use super::{Blocked, Conv, Direct, PARTS, WindowAxis, Winograd, conv, conv_kernel, conv_transpose};

/// Σ x·w·g with every index written out, as a derivative by x, w and g.
fn plain(c: &Conv, x: &[f64], w: &[f64], g: &[f64]) -> [Vec<f64>; 3] {
    let [n, channels, h, width] = c.x_dims();
    let [_, inner, kh, kw] = c.w_dims();
    let [_, outer, oh, ow] = c.y_dims();
    let mut out = [vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; g.len()]];
    let [high, wide] = c.sides;
    for image in 0..n {
        for o in 0..outer {
            for place in 0..oh * ow {
                for i in 0..inner {
                    for k in 0..kh * kw {
                        let y =
                            (place / ow * high.stride + k / kw * high.dilation).wrapping_sub(high.padding);
                        let x_at =
                            (place % ow * wide.stride + k % kw * wide.dilation).wrapping_sub(wide.padding);
                        if y >= h || x_at >= width {
                            continue;
                        }
                        let channel = o / c.outputs * inner + i;
                        let a = ((image * channels + channel) * h + y) * width + x_at;
                        let b = (o * inner + i) * kh * kw + k;
                        let p = (image * outer + o) * oh * ow + place;
                        out[0][a] += w[b] * g[p];
                        out[1][b] += x[a] * g[p];
                        out[2][p] += x[a] * w[b];
                    }
                }
            }
        }
    }
    out
}

fn side(input: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> WindowAxis {
    let output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
    WindowAxis { input, output, kernel, stride, padding, dilation }
}

fn numbers(n: usize, salt: f64) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * 1.7 + salt).sin()).collect()
}

fn agrees(c: &Conv) {
    let (x, w) = (numbers(Conv::count(c.x_dims()), 0.1), numbers(Conv::count(c.w_dims()), 0.2));
    let g = numbers(Conv::count(c.y_dims()), 0.3);
    let got = [conv_transpose(c, &w, &g, None), conv_kernel(c, &x, &g), conv(c, &x, &w, None)];
    for (part, (got, expected)) in got.iter().zip(plain(c, &x, &w, &g)).enumerate() {
        assert_eq!(got.len(), expected.len());
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-10;
        assert!(got.iter().zip(&expected).all(near), "derivative by part {part} of {c:?}");
    }
}

#[test]
fn against_plain_loops() {
    for stride in 1..=3 {
        for padding in 0..=2 {
            for dilation in 1..=2 {
                for groups in [1, 2] {
                    let sides =
                        [side(6, 2, stride, padding, 1), side(7, 3, 4 - stride, 2 - padding, dilation)];
                    agrees(&Conv { batch: 2, groups, inputs: 2, outputs: 3, sides });
                }
            }
        }
    }
    // The image is the matrix; and what looks like it and is not.
    for sides in [[side(3, 1, 1, 0, 1); 2], [side(3, 1, 1, 1, 1); 2], [side(3, 1, 2, 0, 1); 2]] {
        agrees(&Conv { batch: 2, groups: 2, inputs: 3, outputs: 2, sides });
    }
    for (batch, inputs, outputs) in [(0, 1, 1), (1, 0, 2), (2, 3, 0)] {
        agrees(&Conv { batch, groups: 1, inputs, outputs, sides: [side(4, 3, 1, 1, 1); 2] });
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let c = Conv { batch: PARTS + 3, groups: 2, inputs: 8, outputs: 8, sides: [side(12, 3, 1, 1, 1); 2] };
    assert!(super::large_product(c.work()));
    agrees(&c);
    let (x, w) = (numbers(Conv::count(c.x_dims()), 0.1), numbers(Conv::count(c.w_dims()), 0.2));
    let all = || [conv(&c, &x, &w, None), conv_transpose(&c, &w, &x, None), conv_kernel(&c, &x, &x)];
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all);
    assert_eq!(on(1), on(3));
}

#[test]
fn directly_of_many_sizes() {
    let mut direct = 0;
    let mut see = |c: Conv| {
        direct += usize::from(Direct::new::<f64>(&c).is_some());
        agrees(&c);
    };
    // Outputs narrower than a vector, of one element, of odd widths, longer than several vectors.
    for (high, wide) in [(1, 1), (1, 2), (3, 3), (2, 9), (5, 13), (4, 33), (1, 200), (40, 3)] {
        for kernel in [1, 2, 3, 5] {
            for padding in 0..=2 {
                let long = |input: usize| input + 2 * padding >= kernel;
                if long(high) && long(wide) {
                    let sides = [side(high, kernel, 1, padding, 1), side(wide, kernel, 1, padding, 1)];
                    see(Conv { batch: 2, groups: 1, inputs: 2, outputs: 3, sides });
                }
            }
        }
    }
    // More padding on one side than on the other.
    for (before, after) in [(0, 1), (2, 0), (1, 3), (0, 3), (4, 1)] {
        let uneven = |input: usize, kernel| WindowAxis {
            output: input + before + after + 1 - kernel,
            ..side(input, kernel, 1, before, 1)
        };
        see(Conv { batch: 3, groups: 1, inputs: 2, outputs: 5, sides: [uneven(5, 4), uneven(9, 2)] });
        see(Conv { batch: 3, groups: 2, inputs: 1, outputs: 3, sides: [side(1, 1, 1, 0, 1), uneven(20, 4)] });
    }
    // Kernels of two sides, dilations, groups; channels that fill blocks, and that do not.
    for (groups, inputs, outputs) in [(1, 1, 1), (1, 3, 4), (2, 2, 5), (5, 1, 1), (1, 9, 8), (3, 0, 2)] {
        for dilation in 1..=3 {
            let sides = [side(9, 3, 1, 1, 1), side(11, 2, 1, 1, dilation)];
            see(Conv { batch: 11, groups, inputs, outputs, sides });
            see(Conv { batch: 0, groups, inputs, outputs, sides });
        }
    }
    // One output, as wide as the image: also of kernels that reach beyond it, and of uneven padding.
    let uneven = |input: usize| WindowAxis { output: input, ..side(input, 2, 1, 1, 1) };
    let even =
        [[1, 3, 1, 1], [2, 5, 2, 1], [9, 3, 1, 1], [33, 5, 2, 1], [20, 3, 3, 3], [5, 7, 3, 1], [4, 3, 4, 4]];
    let even = even.map(|[input, kernel, padding, dilation]| side(input, kernel, 1, padding, dilation));
    for wide in even.into_iter().chain([uneven(1), uneven(18), side(7, 1, 1, 0, 1)]) {
        for high in [wide, side(6, 2, 1, 0, 1), side(3, 3, 1, 4, 1)] {
            see(Conv { batch: 3, groups: 3, inputs: 1, outputs: 1, sides: [high, wide] });
            see(Conv { batch: 2, groups: 1, inputs: 2, outputs: 1, sides: [high, wide] });
        }
    }
    // Strides of one output and of several, in odd and even images, some with places that no window reaches; kernels of one element.
    for (stride, kernel, padding, dilation) in [
        (2, 3, 1, 1),
        (2, 3, 0, 1),
        (2, 3, 2, 1),
        (2, 2, 0, 1),
        (2, 5, 2, 1),
        (2, 3, 2, 2),
        (3, 3, 1, 1),
        (3, 4, 2, 2),
        (3, 2, 0, 1),
    ] {
        for (high, wide) in [(9, 9), (8, 33), (7, 10), (32, 32)] {
            for (groups, inputs, outputs) in [(2, 1, 1), (1, 2, 1), (2, 1, 3), (1, 5, 2)] {
                let sides = [
                    side(high, kernel, stride, padding, dilation),
                    side(wide, kernel, stride, padding, dilation),
                ];
                see(Conv { batch: 2, groups, inputs, outputs, sides });
                see(Conv {
                    batch: 2,
                    groups,
                    inputs,
                    outputs,
                    sides: [side(high, 3, 5 - stride, 1, 1), sides[1]],
                });
            }
        }
    }
    for (high, wide) in [(6, 6), (1, 32), (5, 13)] {
        for (groups, inputs, outputs) in [(1, 3, 5), (2, 8, 4), (3, 1, 1)] {
            see(Conv {
                batch: 2,
                groups,
                inputs,
                outputs,
                sides: [side(high, 1, 1, 0, 1), side(wide, 1, 1, 0, 1)],
            });
        }
    }
    assert!(direct > 60 || crate::kernel::parallel::is_scalar(), "{direct}");
}

#[test]
fn in_blocks_of_many_sizes() {
    let (mut forward, mut transposed) = (0, 0);
    // Channels for one vector, two, three, four and more, whole and not; more places than are summed at a time, and few.
    for (groups, inputs, outputs) in [(1, 8, 8), (2, 7, 15), (1, 16, 22), (1, 24, 32), (1, 9, 40), (3, 31, 7)]
    {
        for stride in 1..=3 {
            for (high, wide) in [(3, 3), (5, 13), (1, 9)] {
                for padding in 0..=2 {
                    let sides = [
                        side(high, 3.min(high), stride, padding.min(high - 1), 1),
                        side(wide, 3, 4 - stride, padding, 1 + usize::from(wide > 5 && padding == 1)),
                    ];
                    let c = Conv { batch: 3, groups, inputs, outputs, sides };
                    forward += usize::from(Blocked::new::<f64>(&c).is_some());
                    transposed += usize::from(Blocked::transpose::<f64>(&c).is_some());
                    agrees(&c);
                }
            }
        }
    }
    // A stride longer than the kernel, whose transpose has places that no window reaches, and an output padding.
    for (inputs, outputs) in [(32, 8), (8, 32), (1, 1)] {
        let mut wide = side(11, 3, 4, 1, 1);
        agrees(&Conv { batch: 2, groups: 2, inputs, outputs, sides: [side(9, 2, 3, 0, 1), wide] });
        wide.input += 2;
        agrees(&Conv { batch: 2, groups: 2, inputs, outputs, sides: [side(9, 2, 2, 0, 1), wide] });
    }
    assert!(
        forward > 50 && transposed > 50 || crate::kernel::parallel::is_scalar(),
        "{forward} {transposed}"
    );
}

#[test]
fn in_tiles_of_many_sizes() {
    let mut tiled = 0;
    for (batch, inputs, outputs) in [(1, 16, 16), (5, 16, 23), (2, 17, 32), (13, 24, 40)] {
        for (high, wide) in [(4, 4), (6, 8), (5, 7), (2, 2), (9, 20), (12, 3)] {
            for padding in 0..=2 {
                let paddings = [padding, (padding + 1) % 3];
                if high + 2 * paddings[0] < 3 || wide + 2 * paddings[1] < 3 {
                    continue;
                }
                let sides = [side(high, 3, 1, paddings[0], 1), side(wide, 3, 1, paddings[1], 1)];
                let c = Conv { batch, groups: 1, inputs, outputs, sides };
                tiled += usize::from(Winograd::new::<f64>(&c).is_some());
                agrees(&c);
                let [x, w, g] = [(c.x_dims(), 0.1), (c.w_dims(), 0.2), (c.y_dims(), 0.3)]
                    .map(|(dims, salt)| numbers(Conv::count(dims), salt));
                let bias = numbers(inputs.max(outputs), 0.4);
                let [to_x, to_y] = [&bias[..inputs], &bias[..outputs]];
                for (plain, with_bias, bias, size) in [
                    (
                        conv_transpose(&c, &w, &g, None),
                        conv_transpose(&c, &w, &g, Some(to_x)),
                        to_x,
                        high * wide,
                    ),
                    (conv(&c, &x, &w, None), conv(&c, &x, &w, Some(to_y)), to_y, c.windows()),
                ] {
                    for (i, got) in with_bias.iter().enumerate() {
                        let expected = plain[i] + bias[i / size % bias.len()];
                        assert!((got - expected).abs() < 1e-10, "{c:?} {i}");
                    }
                }
            }
        }
    }
    // More padding on one side than on the other, and places that no window reaches.
    for (before, after) in [(0, 1), (2, 0), (1, 3), (1, -2), (0, -1)] {
        let uneven = |input: usize| WindowAxis {
            output: (input as isize + before + after - 2) as usize,
            ..side(input, 3, 1, before as usize, 1)
        };
        agrees(&Conv { batch: 3, groups: 1, inputs: 16, outputs: 16, sides: [uneven(6), uneven(9)] });
        agrees(&Conv {
            batch: 3,
            groups: 1,
            inputs: 16,
            outputs: 16,
            sides: [side(6, 3, 1, 1, 1), uneven(9)],
        });
    }
    assert!(tiled > 30 || crate::kernel::parallel::is_scalar(), "{tiled}");
}

/// Elements, with the same number for all NaN.
fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| if x.is_nan() { f64::NAN } else { *x }.to_bits()).collect()
}

#[test]
fn an_image_in_tiles_has_the_bits_of_its_batch() {
    // On one thread and on several, which divide the lines of a large image, as few as a part and odd; and beside an image that is not finite.
    for (inputs, outputs, high, wide) in [(16, 16, 4, 4), (23, 32, 31, 9), (16, 24, 65, 20), (32, 16, 50, 3)]
    {
        let c = Conv {
            batch: 5,
            groups: 1,
            inputs,
            outputs,
            sides: [side(high, 3, 1, 1, 1), side(wide, 3, 1, 1, 1)],
        };
        assert!(Winograd::new::<f64>(&c).is_some() || crate::kernel::parallel::is_scalar());
        let [mut x, w, mut g] = [(c.x_dims(), 0.1), (c.w_dims(), 0.2), (c.y_dims(), 0.3)]
            .map(|(dims, salt)| numbers(Conv::count(dims), salt));
        let bias = numbers(inputs.max(outputs), 0.4);
        let [x_size, y_size] = [x.len() / 5, g.len() / 5];
        (x[2 * x_size + 7], g[2 * y_size + 7]) = (f64::INFINITY, f64::NAN);
        let [to_x, to_y] = [Some(&bias[..inputs]), Some(&bias[..outputs])];
        let one = Conv { batch: 1, ..c };
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (y, back) = (conv(&c, &x, &w, to_y), conv_transpose(&c, &w, &g, to_x));
                for i in 0..5 {
                    let [x_at, y_at] = [x_size, y_size].map(|size| i * size..(i + 1) * size);
                    assert_eq!(
                        bits(&conv(&one, &x[x_at.clone()], &w, to_y)),
                        bits(&y[y_at.clone()]),
                        "{i} of {c:?}"
                    );
                    let alone = conv_transpose(&one, &w, &g[y_at], to_x);
                    assert_eq!(bits(&alone), bits(&back[x_at]), "{i} of {c:?}, back");
                }
            });
        }
    }
}

#[test]
fn rounding_in_tiles() {
    let c = Conv { batch: 8, groups: 1, inputs: 32, outputs: 64, sides: [side(8, 3, 1, 1, 1); 2] };
    // Numbers that do not cancel, as those of `numbers` do.
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 23) - 1.0
    };
    let [x, w, g] = [c.x_dims(), c.w_dims(), c.y_dims()]
        .map(|dims| (0..Conv::count(dims)).map(|_| random()).collect::<Vec<f64>>());
    let [x32, w32, g32] = [&x, &w, &g].map(|x| x.iter().map(|&x| x as f32).collect::<Vec<f32>>());
    let [gx, gw, y] = plain(&c, &x, &w, &g);
    // The root of the mean square of the error, in that of the result.
    let error = |got: Vec<f32>, exact: &[f64]| {
        let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
        let difference = squares(&mut got.iter().zip(exact).map(|(&x, y)| f64::from(x) - y));
        (difference / squares(&mut exact.iter().copied())).sqrt()
    };
    let forward = error(conv(&c, &x32, &w32, None), &y);
    let back = error(conv_transpose(&c, &w32, &g32, None), &gx);
    let kernel = error(conv_kernel(&c, &x32, &g32), &gw);
    let [plainly, plainly_back] = [
        error(super::plain_conv(&c, &x32, &w32, None), &y),
        error(super::plain_transpose(&c, &w32, &g32, None), &gx),
    ];
    println!("{forward:.2e} for {plainly:.2e}, {back:.2e} for {plainly_back:.2e}, {kernel:.2e}");
    assert!(forward < 1.25 * plainly && back < 1.25 * plainly_back && kernel < 5e-7);
}

#[test]
fn an_infinity_in_tiles_stays_where_it_is() {
    let c = Conv { batch: 2, groups: 1, inputs: 16, outputs: 16, sides: [side(6, 3, 1, 1, 1); 2] };
    assert!(Winograd::new::<f64>(&c).is_some() || crate::kernel::parallel::is_scalar());
    let [x, w, g] = [(c.x_dims(), 0.1), (c.w_dims(), 0.2), (c.y_dims(), 0.3)]
        .map(|(dims, salt)| numbers(Conv::count(dims), salt));
    for value in [f64::INFINITY, f64::NAN, f64::MAX] {
        for place in [0, 7, 700] {
            let [mut bad_x, mut bad_g, mut bad_w] = [x.clone(), g.clone(), w.clone()];
            (bad_x[place], bad_g[place], bad_w[place]) = (value, value, value);
            let got = [
                conv_transpose(&c, &w, &bad_g, None),
                conv_kernel(&c, &bad_x, &g),
                conv(&c, &bad_x, &w, None),
                conv_transpose(&c, &bad_w, &g, None),
            ];
            let [by_g, by_x, by_w] =
                [plain(&c, &x, &w, &bad_g), plain(&c, &bad_x, &w, &g), plain(&c, &x, &bad_w, &g)];
            let expected = [&by_g[0], &by_x[1], &by_x[2], &by_w[0]];
            for (part, (got, expected)) in got.iter().zip(expected).enumerate() {
                let same = |(&a, &b): (&f64, &f64)| {
                    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-10 * b.abs().max(1.0)
                };
                assert!(got.iter().zip(expected).all(same), "{part}: {value} {place}");
            }
        }
    }
}

#[test]
fn single_precision_and_bias() {
    for (stride, inputs, outputs) in [(1, 3, 6), (2, 3, 6), (1, 1, 1), (2, 1, 1), (1, 12, 30), (2, 24, 40)] {
        let c = Conv { batch: 3, groups: 2, inputs, outputs, sides: [side(9, 3, stride, 1, 1); 2] };
        let [x, w, g] = [(c.x_dims(), 0.1), (c.w_dims(), 0.2), (c.y_dims(), 0.3)]
            .map(|(dims, salt)| numbers(Conv::count(dims), salt));
        let [gx, gw, y] = plain(&c, &x, &w, &g);
        let single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let [x32, w32, g32] = [&x, &w, &g].map(|x| single(x));
        for (dims, got, plain) in [
            (c.y_dims(), conv(&c, &x32, &w32, Some(&single(&numbers(2 * outputs, 0.5)))), y),
            (c.x_dims(), conv_transpose(&c, &w32, &g32, Some(&single(&numbers(2 * inputs, 0.5)))), gx),
            (c.w_dims(), conv_kernel(&c, &x32, &g32), gw),
        ] {
            let bias = if dims == c.w_dims() { vec![0.0; dims[1]] } else { numbers(dims[1], 0.5) };
            for (i, (&got, plain)) in got.iter().zip(plain).enumerate() {
                let expected = plain + bias[i / (dims[2] * dims[3]) % dims[1]];
                assert!((f64::from(got) - expected).abs() < 1e-4, "{stride} {dims:?} {i}");
            }
        }
        let empty = Conv { inputs: 0, ..c };
        let bias = numbers(2 * outputs, 0.5);
        let y = conv(&empty, &[], &[], Some(&bias));
        assert!(y.iter().enumerate().all(|(i, &y)| y == bias[i / (y_size(&c)) % (2 * outputs)]));
    }
}

fn y_size(c: &Conv) -> usize {
    c.y_dims()[2] * c.y_dims()[3]
}

#[test]
fn what_is_infinite_stays_where_it_is() {
    let c = Conv { batch: 1, groups: 1, inputs: 1, outputs: 2, sides: [side(5, 3, 1, 0, 1); 2] };
    let (x, w, g) = (numbers(25, 0.1), numbers(18, 0.2), numbers(18, 0.3));
    for place in 0..18 {
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let (mut x, mut w, mut g) = (x.clone(), w.clone(), g.clone());
            (x[place], x[24 - place / 2]) = (value, value);
            (w[place], g[17 - place]) = (value, value);
            let finite =
                [(&x, &w, &numbers(18, 0.3)), (&x, &numbers(18, 0.2), &g), (&numbers(25, 0.1), &w, &g)];
            for (x, w, g) in finite {
                let got = [conv_transpose(&c, w, g, None), conv_kernel(&c, x, g), conv(&c, x, w, None)];
                for (part, (got, expected)) in got.iter().zip(plain(&c, x, w, g)).enumerate() {
                    let same = |(&a, &b): (&f64, &f64)| {
                        (a - b).abs() < 1e-10 || a == b || (a.is_nan() && b.is_nan())
                    };
                    assert!(got.iter().zip(&expected).all(same), "{part} {place} {value}");
                }
            }
        }
    }
}
