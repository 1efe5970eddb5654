//! Rows of scores with an integer class each: the inputs of [`Nll`](super::Nll), [`CrossEntropy`](super::CrossEntropy),
//! [`Focal`](super::Focal) and [`MultiMargin`](super::MultiMargin).

use std::sync::Arc;

use candle_core::{DType, Device};
use smallvec::SmallVec;

use super::check;
use crate::autograd::Tensor;
use crate::autograd::array::{contiguous, count, elements, place};
use crate::error::{Error, Result};
use crate::kernel::rows::IGNORED;

/// Class weights and the ignored class.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    pub(super) weights: Option<Arc<[f64]>>,
    pub(super) ignored: Option<i64>,
}

/// Scores (rows, classes) and the class of each row.
pub(super) struct ClassRows {
    pub(super) scores: Tensor,
    /// [`IGNORED`] for rows that do not count.
    pub(super) classes: Vec<u32>,
    /// The shape of the losses.
    pub(super) dims: Vec<usize>,
}

/// Scores as a matrix with the classes on the last axis, and the shape without the classes.
pub(super) fn class_matrix(op: &'static str, x: &Tensor) -> Result<(Tensor, Vec<usize>)> {
    let rank = x.rank();
    match *x.dims() {
        [] => Err(Error::shape(op, "scores (n, c) and classes (n)", &[&[]])),
        [_] => Ok((x.unsqueeze(0)?, Vec::new())),
        [n, _] => Ok((x.clone(), vec![n])),
        [_, c, ..] => {
            let mut dims = x.dims().to_vec();
            dims.remove(1);
            let axes: Vec<usize> = (0..rank).filter(|&axis| axis != 1).chain([1]).collect();
            Ok((x.permute(&axes)?.reshape((count(&dims), c))?, dims))
        }
    }
}

/// A mask of the rows that are ignored; `None` if there are none.
pub(super) fn ignored_mask(classes: &[u32], device: &Device) -> Result<Option<Tensor>> {
    if !classes.contains(&IGNORED) {
        return Ok(None);
    }
    let mask: Vec<u8> = classes.iter().map(|&class| u8::from(class == IGNORED)).collect();
    Tensor::from_vec(mask, classes.len(), device).map(Some)
}

struct ClassReader<'a> {
    op: &'static str,
    width: usize,
    ignored: Option<i64>,
    dims: &'a [usize],
    found: Vec<u32>,
}

impl ClassReader<'_> {
    fn read(&mut self, numbers: impl IntoIterator<Item: Into<i64>>) -> Result<()> {
        let numbers = numbers.into_iter();
        self.found.reserve(numbers.size_hint().0);
        for class in numbers {
            let class = class.into();
            self.found.push(match class {
                _ if Some(class) == self.ignored => IGNORED,
                // Fewer than IGNORED: a row of scores that long fits in no memory.
                _ if (0..self.width as i64).contains(&class) => class as u32,
                _ => return Err(self.invalid(class)),
            });
        }
        Ok(())
    }

    #[cold]
    fn invalid(&self, class: i64) -> Error {
        let row = self.found.len();
        let place = match self.dims.len() {
            0 | 1 => format!("in row {row}"),
            _ => format!("at {:?}", place(self.dims, row)),
        };
        let expected = format!("classes from 0 to {}", self.width as i64 - 1);
        Error::argument(self.op, expected, format!("class {class} {place}"))
    }
}

/// Classes below `width`, or [`IGNORED`].
pub(super) fn read_classes(
    op: &'static str,
    target: &Tensor,
    width: usize,
    ignored: Option<i64>,
) -> Result<Vec<u32>> {
    let mut classes = ClassReader { op, width, ignored, dims: target.dims(), found: Vec::new() };
    let target = contiguous(target.array())?;
    match target.dtype() {
        _ if !target.device().is_cpu() => {
            classes.read(target.flatten_all()?.to_dtype(DType::I64)?.to_vec1::<i64>()?)?
        }
        DType::U8 => classes.read(elements::<u8>(&target)?.iter().copied())?,
        DType::U32 => classes.read(elements::<u32>(&target)?.iter().copied())?,
        _ => classes.read(elements::<i64>(&target)?.iter().copied())?,
    }
    Ok(classes.found)
}

impl ClassRows {
    /// The score of each row's class; that of class 0 in ignored rows.
    pub(super) fn own_scores(&self) -> Result<Tensor> {
        if self.classes.is_empty() {
            return self.scores.sum(1);
        }
        let own = self.classes.iter().map(|&class| if class == IGNORED { 0 } else { class }).collect();
        let own = Tensor::from_vec(own, (self.classes.len(), 1), self.scores.device())?;
        self.scores.gather(1, &own)?.squeeze(1)
    }
}

impl Classes {
    pub(super) fn set_weights(&mut self, op: &'static str, weights: &Tensor) -> Result<()> {
        if weights.rank() != 1 || !weights.dtype().is_float() {
            return Err(Error::shape(op, "one weight for each class (c), a float", &[weights.dims()]));
        }
        check::in_range(op, "class weights", weights, 0.0, f64::INFINITY)?;
        self.weights = Some(weights.to_dtype(DType::F64)?.to_vec1()?.into());
        Ok(())
    }

    /// The rows of scores (n, c), (n, c, d1, ..) or (c) and classes (n), (n, d1, ..) or ().
    pub(super) fn rows(&self, op: &'static str, scores: &Tensor, target: &Tensor) -> Result<ClassRows> {
        let (matrix, dims) = class_matrix(op, scores)?;
        if target.dims() != dims {
            let got = [scores.dims(), target.dims()];
            let rows = match scores.rank() {
                2 => format!("one class for each of {} rows (see squeeze)", dims[0]),
                _ => format!("classes of shape {dims:?}"),
            };
            return Err(Error::shape(op, rows, &got));
        }
        let integer = matches!(target.dtype(), DType::U8 | DType::U32 | DType::I64);
        if !scores.dtype().is_float() || !integer {
            let got = [scores.dtype(), target.dtype()];
            return Err(Error::dtype(op, "float scores and integer classes (see to_dtype)", &got));
        }
        let width = matrix.dims()[1];
        self.check_width(op, width)?;
        let classes = read_classes(op, target, width, self.ignored)?;
        Ok(ClassRows { scores: matrix, classes, dims })
    }

    pub(super) fn check_width(&self, op: &'static str, width: usize) -> Result<()> {
        match &self.weights {
            Some(weights) if weights.len() != width => {
                let got = format!("{} weights for {width} classes", weights.len());
                Err(Error::argument(op, "one weight for each class", got))
            }
            _ => Ok(()),
        }
    }

    /// The weight of each row, over `divisor`; one for all rows if they weigh the same.
    pub(super) fn factors(&self, classes: &[u32], divisor: f64) -> SmallVec<[f64; 1]> {
        match self.weights {
            None => SmallVec::from_elem(1.0 / divisor, 1),
            Some(_) => classes.iter().map(|&class| self.weight(class) / divisor).collect(),
        }
    }

    /// The weight of a row of this class.
    pub(super) fn weight(&self, class: u32) -> f64 {
        match &self.weights {
            _ if class == IGNORED => 0.0,
            Some(weights) => weights[class as usize],
            None => 1.0,
        }
    }

    /// Each loss times the weight of its row.
    pub(super) fn weighted(&self, losses: Tensor, classes: &[u32]) -> Result<Tensor> {
        if self.weights.is_none() {
            return Ok(losses);
        }
        let weights: Vec<f64> = classes.iter().map(|&class| self.weight(class)).collect();
        let weights = Tensor::from_vec(weights, classes.len(), losses.device())?.to_dtype(losses.dtype())?;
        losses * weights
    }

    /// The losses in the shape of the targets, weighted, and 0 in the ignored rows.
    pub(super) fn finish(&self, losses: Tensor, rows: ClassRows) -> Result<Tensor> {
        let mut losses = self.weighted(losses, &rows.classes)?;
        if let Some(ignored) = ignored_mask(&rows.classes, losses.device())? {
            losses = losses.masked_fill(&ignored, 0.0)?;
        }
        losses.reshape(rows.dims)
    }

    /// [`ElementwiseLoss::total_weight`](super::ElementwiseLoss::total_weight).
    pub(super) fn total_weight(
        &self,
        op: &'static str,
        scores: &Tensor,
        target: &Tensor,
    ) -> Result<Option<f64>> {
        if self.weights.is_none() && self.ignored.is_none() || target.elem_count() == 0 {
            return Ok(Some(target.elem_count() as f64));
        }
        Ok(Some(self.sum_of_weights(&self.rows(op, scores, target)?.classes)))
    }

    pub(super) fn sum_of_weights(&self, classes: &[u32]) -> f64 {
        classes.iter().map(|&class| self.weight(class)).sum()
    }
}
