//! Page 2: a race between a loop and one call. The rest of the page is calculator.rs.

use tealight::prelude::*;
use wasm_bindgen::prelude::*;

use crate::thrown;

/// Two vectors, for a race between a loop and one call.
#[wasm_bindgen]
pub struct Race {
    numbers: [Vec<f32>; 2],
    tensors: [Tensor; 2],
}

#[wasm_bindgen]
impl Race {
    /// Vectors of `length` random numbers.
    #[wasm_bindgen(constructor)]
    pub fn new(length: usize) -> Result<Race, JsError> {
        let rng = &mut Rng::seed(1);
        let numbers = [(); 2].map(|()| (0..length).map(|_| rng.uniform() as f32).collect::<Vec<f32>>());
        let tensor = |x: &Vec<f32>| Tensor::new(&x[..], &Device::Cpu).map_err(thrown);
        Ok(Race { tensors: [tensor(&numbers[0])?, tensor(&numbers[1])?], numbers })
    }

    /// The dot product by a loop, one product after the other, as it is written.
    pub fn looped(&self) -> f32 {
        let mut sum = 0.0;
        for (a, b) in self.numbers[0].iter().zip(&self.numbers[1]) {
            sum += a * b;
        }
        sum
    }

    /// The dot product by one operation.
    pub fn vectorised(&self) -> Result<f32, JsError> {
        let dot = || self.tensors[0].dot(&self.tensors[1])?.to_scalar();
        dot().map_err(thrown)
    }
}
