//! Layers behind a pointer: a model can hold layers whose types are chosen at run time, or share one.

use std::sync::Arc;

use super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;

macro_rules! behind_a_pointer {
    ($($(#[$doc:meta])* [$($generics:tt)*] $pointer:ty;)*) => {$(
        $(#[$doc])*
        impl<$($generics)*> Layer for $pointer {
            fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
                (**self).forward(x, ctx)
            }

            fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
                (**self).fields(fields);
            }

            fn kind(&self) -> &'static str {
                (**self).kind()
            }
        }
    )*};
}

behind_a_pointer! {
    /// A layer whose type is chosen at run time. The names of its parameters are those of the layer in the box.
    // Not `Box<L>` for all L: another crate might make some `Box<L>` an `Activation`, which is a layer already.
    [] Box<dyn Layer>;
    /// A shared layer. Cloning the `Arc` shares the parameters, as cloning the layer does.
    [L: Layer + ?Sized] Arc<L>;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::layer::PRelu;
    use crate::prelude::*;

    struct Net {
        blocks: Vec<Box<dyn Layer>>,
        head: Box<dyn Layer>,
        tail: Option<Box<dyn Layer>>,
        shared: Arc<dyn Layer>,
    }

    impl Layer for Net {
        fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
            let mut x = x.clone();
            for (i, block) in self.blocks.iter().enumerate() {
                x = ctx.call(&format!("blocks.{i}"), block, &x)?;
            }
            let x = ctx.call("shared", &self.shared, &x)?;
            ctx.call("head", &self.head, &x)
        }

        crate::fields!(blocks, head, tail, shared);
    }

    fn net(seed: u64) -> Result<Net> {
        let rng = &mut Rng::seed(seed);
        Ok(Net {
            blocks: vec![Box::new(Linear::new(3, 4, rng)?), Box::new(Relu), Box::new(BatchNorm1d::new(4)?)],
            head: Box::new(Sequential::new().push(Linear::new(4, 2, rng)?)),
            tail: None,
            shared: Arc::new(PRelu::new()?),
        })
    }

    #[test]
    fn names_and_summary() -> Result<()> {
        let net = net(1)?;
        let names: Vec<String> = net.state_dict().into_iter().map(|(name, _)| name).collect();
        let expected = [
            "blocks.0.weight",
            "blocks.0.bias",
            "blocks.2.weight",
            "blocks.2.bias",
            "blocks.2.running_mean",
            "blocks.2.running_var",
            "blocks.2.num_batches_tracked",
            "head.0.weight",
            "head.0.bias",
            "shared.weight",
        ];
        assert_eq!(names, expected);
        let table = net.summary(&[5, 3])?.to_string();
        for row in
            ["blocks.0 (Linear)", "blocks.1 (Relu)", "shared (PRelu)", "head (Sequential)", "    0 (Linear)"]
        {
            assert!(table.contains(row), "{row}:\n{table}");
        }
        let error = net.predict(&Tensor::zeros((5, 2), DType::F32, &Device::Cpu)?).unwrap_err();
        assert!(error.to_string().starts_with("blocks.0: linear: expected"), "{error}");
        Ok(())
    }

    #[test]
    fn saved_and_loaded_within_a_model() -> Result<()> {
        let boxed = |seed| -> Result<Sequential> {
            let layer: Box<dyn Layer> = Box::new(net(seed)?);
            Ok(Sequential::new().push(layer).push(Box::new(Tanh) as Box<dyn Layer>))
        };
        let (from, to) = (boxed(1)?, boxed(2)?);
        assert_eq!(from.parameters()[0].0, "0.blocks.0.weight");
        let x = Tensor::randn(0.0, 1.0, (5, 3), &mut Rng::seed(3))?;
        assert_ne!(from.predict(&x)?, to.predict(&x)?);
        let path = std::env::temp_dir().join(format!("tealight-boxed-{}.safetensors", std::process::id()));
        crate::io::save(&path, &from)?;
        let loaded = crate::io::load(&path, &to);
        std::fs::remove_file(&path).map_err(|error| Error::argument("test", "a file", error))?;
        loaded?;
        assert_eq!(from.predict(&x)?, to.predict(&x)?);
        Ok(())
    }
}
