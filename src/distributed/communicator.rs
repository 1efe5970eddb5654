//! [`Communicator`]

use candle_core::DType;

use super::{join, split, sum};
use crate::autograd::{Gradients, Tensor, no_grad};
use crate::error::{Error, Result};

/// What training by several processes needs of the library that connects them. It moves bytes only: tealight adds numbers itself,
/// in an order that does not depend on the library.
///
/// All ranks call the same methods in the same order.
pub trait Communicator {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// What every rank passed here, by rank. The lengths may differ.
    ///
    /// # Errors
    /// Errors if another rank has failed.
    #[doc(alias = "MPI_Allgatherv")]
    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// Sends `parts[r]` to rank r, and returns what each rank sent here, by rank. The lengths may differ.
    ///
    /// # Errors
    /// Errors if another rank has failed.
    #[doc(alias = "MPI_Alltoallv")]
    fn all_to_all(&self, parts: &[Vec<u8>]) -> Result<Vec<Vec<u8>>>;

    /// Ends the work of all ranks, because this one cannot go on. It may end the process and never return.
    #[doc(alias = "MPI_Abort")]
    fn abort(&self, message: &str);

    /// Replaces gradients by their mean over all ranks, for training loops of your own. The ranks must have batches of equal size and
    /// gradients of the same parameters, made in the same order. The gradients are added as a tree whose shape depends on the number of
    /// ranks alone, so that all ranks have the same bits, in each run.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # use tealight::distributed::Communicator;
    /// fn step(comm: &dyn Communicator, model: &Linear, x: &Tensor, sgd: &mut Sgd) -> Result<()> {
    ///     let mut gradients = model.forward(x, &mut ForwardContext::eval())?.sqr()?.mean_all()?.backward()?;
    ///     comm.average(&mut gradients)?;
    ///     sgd.step(&gradients)
    /// }
    /// ```
    ///
    /// # Errors
    /// Errors if the ranks have gradients of other shapes or dtypes, or if another rank has failed.
    #[doc(alias = "DistributedDataParallel")]
    fn average(&self, gradients: &mut Gradients) -> Result<()> {
        let shapes: Vec<_> = gradients.by_node.values().map(|x| (x.dims(), x.dtype())).collect();
        agree(self, "average", "gradients of the same shapes", &format!("{shapes:?}"))?;
        let own: Vec<Tensor> = gradients.by_node.values().cloned().collect();
        let means = no_grad(|| {
            let flat = join(&own)?;
            let (len, dtype) = (flat.elem_count(), flat.dtype());
            let (total, _) = sum(self, vec![flat], self.size(), len, dtype, Vec::new())?;
            split(&(total / self.size() as f64)?, &own)
        })?;
        gradients.by_node.values_mut().zip(means).for_each(|(gradient, mean)| *gradient = mean);
        Ok(())
    }
}

impl<C: Communicator + ?Sized> Communicator for &C {
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn size(&self) -> usize {
        (**self).size()
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        (**self).all_gather(bytes)
    }

    fn all_to_all(&self, parts: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        (**self).all_to_all(parts)
    }

    fn abort(&self, message: &str) {
        (**self).abort(message);
    }
}

/// The only process.
pub(crate) struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![bytes.to_vec()])
    }

    fn all_to_all(&self, parts: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        Ok(parts.to_vec())
    }

    fn abort(&self, _: &str) {}
}

/// Errors on all ranks unless all have the same text.
pub(crate) fn agree(
    comm: &(impl Communicator + ?Sized),
    op: &'static str,
    expected: &str,
    text: &str,
) -> Result<()> {
    let texts = comm.all_gather(text.as_bytes())?;
    let first = texts.first().map_or(&[][..], Vec::as_slice);
    match texts.iter().position(|other| other != first) {
        None => Ok(()),
        Some(rank) => {
            let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let got = format!("{} on rank 0 and {} on rank {rank}", read(first), read(&texts[rank]));
            Err(Error::argument(op, format!("{expected} on all ranks"), got))
        }
    }
}

/// The dtype in which numbers of these dtypes are added: f32, or f64 if there is one.
pub(crate) fn wide(dtypes: impl IntoIterator<Item = DType>) -> DType {
    match dtypes.into_iter().any(|dtype| dtype == DType::F64) {
        true => DType::F64,
        false => DType::F32,
    }
}
