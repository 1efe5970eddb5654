//! An image as a column vector.

use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Reshapes an image (height, width, channels) to a column (height·width·channels, 1), in row-major order.
///
/// ```
/// use tealight::functional::image_to_vector;
/// use tealight::prelude::*;
/// let image = Tensor::arange(0.0, 12.0, &Device::Cpu)?.reshape((2, 2, 3))?;
/// let column = image_to_vector(&image)?;
/// assert_eq!(column.dims(), [12, 1]);
/// assert_eq!(column.to_vec2::<f64>()?[3], [3.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "image2vector")]
pub fn image_to_vector(image: &Tensor) -> Result<Tensor> {
    if image.rank() != 3 {
        let expected = "an image of shape (height, width, channels)";
        return Err(Error::shape("image_to_vector", expected, &[image.dims()]));
    }
    image.reshape((image.elem_count(), 1))
}

#[cfg(test)]
mod tests {
    use super::image_to_vector;
    use crate::prelude::*;

    #[test]
    fn example_of_the_course_notebook() -> Result<()> {
        let numbers = [0.67826139, 0.29380381, 0.90714982, 0.52835647, 0.4215251, 0.45017551];
        let image = Tensor::new(&numbers, &Device::Cpu)?.reshape((3, 1, 2))?;
        let column = image_to_vector(&image)?;
        assert_eq!(column.dims(), [6, 1]);
        assert_eq!(column.flatten(0, -1)?.to_vec1::<f64>()?, numbers);
        Ok(())
    }

    #[test]
    fn gradient_dtypes_and_edge_cases() -> Result<()> {
        let image = Tensor::parameter(Tensor::ones((2, 3, 1), DType::F32, &Device::Cpu)?);
        let gradients = image_to_vector(&image)?.sqr()?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&image).unwrap().dims(), [2, 3, 1]);
        let bytes = Tensor::zeros((2, 0, 3), DType::U8, &Device::Cpu)?;
        assert_eq!((image_to_vector(&bytes)?.dims(), bytes.dtype()), (&[0, 1][..], DType::U8));
        let error = image_to_vector(&Tensor::zeros((4, 3), DType::F32, &Device::Cpu)?).unwrap_err();
        assert_eq!(
            error.to_string(),
            "image_to_vector: expected an image of shape (height, width, channels), got [4, 3]"
        );
        Ok(())
    }
}
