//! Rows of scores with an integer class each: the inputs of [`Nll`](super::Nll), [`CrossEntropy`](super::CrossEntropy),
//! [`Focal`](super::Focal) and [`MultiMargin`](super::MultiMargin).

use std::sync::Arc;

use candle_core::{DType, Device, WithDType};
use smallvec::SmallVec;

use super::check;
use crate::autograd::array::{contiguous, converted, count, place};
use crate::autograd::launch::{Operand, launch_many, refuse_reading, with_operands};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel::rows::IGNORED;
use crate::kernel::{self, Scratch};

/// Class weights and the ignored class.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    pub(super) weights: Option<Arc<[f64]>>,
    pub(super) ignored: Option<i64>,
}

/// Scores (rows, classes) and the class of each row.
pub(super) struct ClassRows {
    pub(super) scores: Tensor,
    pub(super) targets: ClassTargets,
    /// The shape of the losses.
    pub(super) dims: Vec<usize>,
}

/// Integer classes, in main memory and in row-major order. They are checked when they are read.
#[derive(Clone, Debug)]
pub(super) struct ClassTargets {
    reader: ClassReader,
    pub(super) array: Array,
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

#[derive(Clone, Debug)]
pub(super) struct ClassReader {
    op: &'static str,
    width: usize,
    ignored: Option<i64>,
}

impl ClassReader {
    /// Classes below the width, or [`IGNORED`].
    pub(super) fn read(&self, target: Operand<'_>) -> Result<Vec<u32>> {
        let mut classes = Vec::new();
        self.read_into(target, &mut classes)?;
        Ok(classes)
    }

    /// [`read`](ClassReader::read) into memory that exists already.
    pub(super) fn read_into(&self, target: Operand<'_>, classes: &mut Vec<u32>) -> Result<()> {
        classes.clear();
        classes.reserve(target.dims().iter().product());
        self.each(target, |class| classes.push(class))
    }

    /// Calls `f` with each class.
    fn each(&self, target: Operand<'_>, f: impl FnMut(u32)) -> Result<()> {
        match target.dtype() {
            DType::U8 => self.all::<u8>(target, f),
            DType::U32 => self.all::<u32>(target, f),
            _ => self.all::<i64>(target, f),
        }
    }

    fn all<I: WithDType + Into<i64>>(&self, target: Operand<'_>, mut f: impl FnMut(u32)) -> Result<()> {
        for (row, &class) in target.elements::<I>().iter().enumerate() {
            f(match class.into() {
                class if Some(class) == self.ignored => IGNORED,
                // Fewer than IGNORED: a row of scores that long fits in no memory.
                class if (0..self.width as i64).contains(&class) => class as u32,
                class => return Err(self.invalid(class, row, target.dims())),
            });
        }
        Ok(())
    }

    #[cold]
    fn invalid(&self, class: i64, row: usize, dims: &[usize]) -> Error {
        let place = match dims.len() {
            0 | 1 => format!("in row {row}"),
            _ => format!("at {:?}", place(dims, row)),
        };
        let expected = format!("classes from 0 to {}", self.width as i64 - 1);
        Error::argument(self.op, expected, format!("class {class} {place}"))
    }
}

impl ClassTargets {
    pub(super) fn new(
        op: &'static str,
        target: &Tensor,
        width: usize,
        ignored: Option<i64>,
    ) -> Result<ClassTargets> {
        let array = contiguous(&target.array().to_device(&Device::Cpu)?)?;
        // candle has more integer dtypes than the readers.
        let array = match array.dtype() {
            DType::U8 | DType::U32 | DType::I64 => array,
            _ => converted(&array, DType::I64)?,
        };
        Ok(ClassTargets { reader: ClassReader { op, width, ignored }, array })
    }

    pub(super) fn read(&self) -> Result<Vec<u32>> {
        refuse_reading("the classes", &self.array);
        with_operands([&self.array], |[target]| self.reader.read(target))
    }

    /// An array of shape `dims`, on `device`, made of the classes.
    pub(super) fn derive<T: WithDType>(
        &self,
        dims: &[usize],
        device: &Device,
        f: impl Fn(&[u32]) -> Result<Vec<T>> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        let reader = self.reader.clone();
        let [array] = launch_many("classes", [&self.array], [dims], move |[target]| {
            let mut classes = Scratch::new(target.dims().iter().product());
            let mut slots = classes.iter_mut();
            reader.each(target, |class| *slots.next().expect("a place for each class") = class)?;
            Ok([T::to_cpu_storage_owned(f(&classes)?)])
        })?;
        Ok(array.to_device(device)?.into())
    }

    pub(super) fn reader(&self) -> ClassReader {
        self.reader.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.array.elem_count()
    }

    /// Losses or gradients (rows) or (rows, n) with 0 in the ignored rows.
    pub(super) fn zero_ignored(&self, rows: Tensor) -> Result<Tensor> {
        if self.reader.ignored.is_none() {
            return Ok(rows);
        }
        let mut dims = vec![1; rows.rank()];
        dims[0] = self.len();
        let mask = self.derive(&dims, rows.device(), |classes| {
            Ok(kernel::collected(classes.len(), classes.iter().map(|&class| u8::from(class == IGNORED))))
        })?;
        rows.masked_fill(&mask, 0.0)
    }
}

impl ClassRows {
    /// The score of each row's class; that of class 0 in ignored rows.
    pub(super) fn own_scores(&self) -> Result<Tensor> {
        let n = self.targets.len();
        if n == 0 {
            return self.scores.sum(1);
        }
        let own = self.targets.derive(&[n, 1], self.scores.device(), |classes| {
            let own = classes.iter().map(|&class| if class == IGNORED { 0 } else { class });
            Ok(kernel::collected(own.len(), own))
        })?;
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
        let targets = ClassTargets::new(op, target, width, self.ignored)?;
        Ok(ClassRows { scores: matrix, targets, dims })
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

    /// Whether all rows count, and alike.
    pub(super) fn is_plain(&self) -> bool {
        self.weights.is_none() && self.ignored.is_none()
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

    /// The losses of the rows, each times the weight of its class.
    pub(super) fn weighted(&self, losses: Tensor, targets: &ClassTargets) -> Result<Tensor> {
        if self.weights.is_none() {
            return Ok(losses);
        }
        let own = self.clone();
        let weights = targets.derive(&[targets.len()], losses.device(), move |classes| {
            Ok(classes.iter().map(|&class| own.weight(class)).collect::<Vec<f64>>())
        })?;
        let weights = weights.to_dtype(losses.dtype())?;
        losses * weights
    }

    /// The weighted losses of the rows in their own shape, 0 where a row is ignored.
    pub(super) fn finish(&self, losses: Tensor, rows: ClassRows) -> Result<Tensor> {
        let losses = self.weighted(losses, &rows.targets)?;
        rows.targets.zero_ignored(losses)?.reshape(rows.dims)
    }

    /// [`ElementwiseLoss::total_weight`](super::ElementwiseLoss::total_weight).
    pub(super) fn total_weight(
        &self,
        op: &'static str,
        scores: &Tensor,
        target: &Tensor,
    ) -> Result<Option<f64>> {
        if self.is_plain() || target.elem_count() == 0 {
            return Ok(Some(target.elem_count() as f64));
        }
        Ok(Some(self.sum_of_weights(&self.rows(op, scores, target)?.targets.read()?)))
    }

    pub(super) fn sum_of_weights(&self, classes: &[u32]) -> f64 {
        classes.iter().map(|&class| self.weight(class)).sum()
    }
}
