use super::super::testing::tensor;
use crate::prelude::*;

pub(super) fn numbers(dims: &[usize], shift: f64) -> Tensor {
    let numbers = (0..dims.iter().product()).map(|i: usize| shift + 0.31 * (i * i % 11) as f64).collect();
    Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap()
}

/// The sum by loops over all indices, for letters only.
fn plain(spec: &str, operands: &[&Tensor]) -> Vec<f64> {
    let (inputs, output) = spec.split_once("->").unwrap();
    let terms: Vec<&str> = inputs.split(',').collect();
    let mut letters: Vec<char> = output.chars().collect();
    letters.extend(inputs.chars().filter(|c| c.is_alphabetic() && !output.contains(*c)));
    let mut seen = vec![];
    letters.retain(|c| {
        !seen.contains(c) && {
            seen.push(*c);
            true
        }
    });
    let size = |c: char| {
        let sizes = terms.iter().zip(operands).filter_map(|(t, x)| Some(x.dims()[t.find(c)?]));
        sizes.max().unwrap()
    };
    let sizes: Vec<usize> = letters.iter().map(|&c| size(c)).collect();
    let values: Vec<Vec<f64>> =
        operands.iter().map(|x| x.reshape(x.elem_count()).unwrap().to_vec1().unwrap()).collect();
    let inner: usize = sizes[output.len()..].iter().product();
    let mut sums = vec![0.0; sizes[..output.len()].iter().product()];
    for i in 0..sizes.iter().product() {
        let mut left = i;
        let mut at = vec![0; letters.len()];
        for (at, size) in at.iter_mut().zip(&sizes).rev() {
            (*at, left) = (left % size, left / size);
        }
        let mut product = 1.0;
        for ((term, x), values) in terms.iter().zip(operands).zip(&values) {
            let place = term.chars().zip(x.dims()).fold(0, |place, (c, &size)| {
                let index = at[letters.iter().position(|&l| l == c).unwrap()];
                place * size + if size == 1 { 0 } else { index }
            });
            product *= values[place];
        }
        sums[i / inner] += product;
    }
    sums
}

#[test]
fn against_plain_loops() -> Result<()> {
    let x = |dims: &[usize]| numbers(dims, -1.3);
    let (ij, jk, bij, bjk) = (x(&[2, 3]), x(&[3, 4]), x(&[5, 2, 3]), x(&[5, 3, 4]));
    let (j, row, square) = (x(&[3]), x(&[1, 3]), x(&[3, 3]));
    let cube = x(&[3, 3, 3]);
    let cases: [(&str, &[&Tensor]); 26] = [
        ("ij->ji", &[&ij]),
        ("ij->", &[&ij]),
        ("ij->j", &[&ij]),
        ("ii->", &[&square]),
        ("ii->i", &[&square]),
        ("iii->i", &[&cube]),
        ("iij->ji", &[&cube]),
        ("iji->j", &[&cube]),
        ("ij,jk->ik", &[&ij, &jk]),
        ("ij,jk->ki", &[&ij, &jk]),
        ("ij,jk->", &[&ij, &jk]),
        ("ij,jk->ijk", &[&ij, &jk]),
        ("ij,kl->iljk", &[&ij, &jk]),
        ("ij,ij->", &[&ij, &ij]),
        ("ij,ij->i", &[&ij, &ij]),
        ("ij,ij->ij", &[&ij, &ij]),
        ("bij,bjk->bik", &[&bij, &bjk]),
        ("bij,bjk->ikb", &[&bij, &bjk]),
        ("bij,cjk->bcik", &[&bij, &bjk]),
        ("bij,bjk->k", &[&bij, &bjk]),
        ("bij,bij->b", &[&bij, &bij]),
        ("ij,j->i", &[&ij, &j]),
        ("ij,kj->ik", &[&ij, &row]),
        ("ij,ij->i", &[&ij, &row]),
        ("bij,jk,bjk,j->ib", &[&bij, &jk, &bjk, &j]),
        ("ai,bj,i->ab", &[&square, &ij, &j]),
    ];
    for (spec, operands) in cases {
        let strided: Vec<Tensor> = operands
            .iter()
            .map(|x| x.unsqueeze(-1)?.broadcast_to([x.dims(), &[2]].concat())?.narrow(-1, 1, 1)?.squeeze(-1))
            .collect::<Result<_>>()?;
        for operands in [operands.to_vec(), strided.iter().collect()] {
            let y = Tensor::einsum(spec, &operands)?;
            let expected = plain(spec, &operands);
            let y = y.reshape(y.elem_count())?.to_vec1::<f64>()?;
            assert_eq!(y.len(), expected.len(), "{spec}");
            for (y, e) in y.iter().zip(&expected) {
                assert!((y - e).abs() < 1e-12 * e.abs().max(1.0), "{spec}: {y}, not {e}");
            }
        }
    }
    Ok(())
}

#[test]
fn implicit_results_and_dots() -> Result<()> {
    let same = |spec: &str, other: &str, operands: &[&Tensor]| -> Result<()> {
        let (y, z) = (Tensor::einsum(spec, operands)?, Tensor::einsum(other, operands)?);
        assert_eq!(y.dims(), z.dims(), "{spec} {other}");
        assert_eq!(y.to_string(), z.to_string(), "{spec} {other}");
        Ok(())
    };
    let (a, b) = (numbers(&[2, 3], 0.1), numbers(&[3, 4], 0.2));
    same("ij,jk", "ij,jk->ik", &[&a, &b])?;
    same("ba", "ba->ab", &[&a])?;
    same("aB", "aB->Ba", &[&a])?;
    same("ii", "ii->", &[&numbers(&[3, 3], 0.0)])?;
    same(" i j , j k -> i k ", "ij,jk->ik", &[&a, &b])?;
    let (x, y) = (numbers(&[5, 1, 2, 3], 0.1), numbers(&[6, 3, 4], 0.2));
    let z = Tensor::einsum("...ij,...jk", &[&x, &y])?;
    assert_eq!(z.dims(), [5, 6, 2, 4]);
    let product = x.matmul(&y)?;
    let off = (z - product)?.abs()?.sum_all()?.to_scalar::<f64>()?;
    assert!(off < 1e-10, "{off}");
    same("...ij->j...i", "abij->jabi", &[&x])?;
    same("i...", "iabc->abci", &[&x.permute(&[1, 2, 3, 0])?])?;
    same("...->", "abij->", &[&x])?;
    same("...i->i", "abij->j", &[&x])?;
    Ok(())
}

#[test]
fn edges() -> Result<()> {
    let scalar = Tensor::new(2.0, &Device::Cpu)?;
    let x = tensor(&[1.0, f64::NAN]);
    assert_eq!(Tensor::einsum("", &[&scalar])?.to_scalar::<f64>()?, 2.0);
    assert_eq!(Tensor::einsum(",i->i", &[&scalar, &x])?.to_vec1::<f64>()?[0], 2.0);
    let empty = Tensor::zeros((0, 3), DType::F64, &Device::Cpu)?;
    assert_eq!(Tensor::einsum("ij,ik->jk", &[&empty, &empty])?.to_vec2::<f64>()?, [[0.0; 3]; 3]);
    assert_eq!(Tensor::einsum("ij,kj->ik", &[&empty, &empty])?.dims(), [0, 0]);
    let integers = Tensor::new(&[[1_i64, 2], [3, 4]], &Device::Cpu)?;
    assert_eq!(Tensor::einsum("ii", &[&integers])?.to_scalar::<i64>()?, 5);
    let m = numbers(&[2, 3], 0.0);
    let message = |spec: &str, operands: &[&Tensor]| Tensor::einsum(spec, operands).unwrap_err().to_string();
    assert_eq!(message("ij,jk", &[&m, &m]), "einsum: expected one size for index j, got 3 and 2");
    assert_eq!(message("ii", &[&m]), "einsum: expected one size for index i, got 2 and 3");
    assert_eq!(message("ij,jk", &[&m]), "einsum: expected 2 operands for \"ij,jk\", got 1");
    assert_eq!(message("ijk", &[&m]), "einsum: expected an operand with the axes ijk, got [2, 3]");
    assert_eq!(message("i", &[&m]), "einsum: expected an operand with the axes i, got [2, 3]");
    let once = "einsum: expected every index of the result once, and in an operand, got ";
    assert_eq!(message("ij->k", &[&m]), format!("{once}\"ij->k\""));
    assert_eq!(message("ij->ii", &[&m]), format!("{once}\"ij->ii\""));
    let dots = "einsum: expected sizes of ... that broadcast together, got 2 and 3";
    assert_eq!(message("...,...", &[&m, &m.t()?]), dots);
    for wrong in ["i.j", "i....j", "......", "ij->i->j", "1j", "ij-", "i>j"] {
        assert!(matches!(Tensor::einsum(wrong, &[&m]), Err(Error::Argument { .. })), "{wrong}");
    }
    assert!(matches!(Tensor::einsum("", &[]), Err(Error::Argument { .. })));
    assert!(matches!(Tensor::einsum("ij,ij", &[&integers, &integers]), Err(Error::Dtype { .. })));
    assert!(matches!(Tensor::einsum("ij,ij", &[&m, &m.to_dtype(DType::F32)?]), Err(Error::Dtype { .. })));
    Ok(())
}
