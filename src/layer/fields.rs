//! [`Fields`]: the list of what a layer consists of.

use super::{Buffer, Layer, Parameter, StateEntry};

/// Collects the parameters and buffers of a model under their full names, `fc1.weight`.
///
/// ```
/// use tealight::prelude::*;
/// struct Net { fc1: Linear, scale: Parameter }
/// impl Layer for Net {
///     fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
///         ctx.call("fc1", &self.fc1, x)? * &self.scale.get()
///     }
///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
///         fields.layer("fc1", &self.fc1).parameter("scale", &self.scale);
///     }
/// }
/// let scale = Parameter::new(Tensor::ones(2, DType::F32, &Device::Cpu)?);
/// let net = Net { fc1: Linear::new(3, 2, &mut Rng::seed(1))?.without_bias(), scale };
/// let names: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["fc1.weight", "scale"]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Default)]
pub struct Fields<'a> {
    path: String,
    held: Vec<(String, Found<'a>)>,
}

enum Found<'a> {
    Parameter(&'a Parameter),
    Buffer(&'a Buffer),
}

impl<'a> Fields<'a> {
    /// A parameter of this layer.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// struct Shift(Parameter);
    /// impl Layer for Shift {
    ///     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> { x + &self.0.get() }
    ///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) { fields.parameter("by", &self.0); }
    /// }
    /// let shift = Shift(Parameter::new(Tensor::new(2.0, &Device::Cpu)?));
    /// assert!(shift.parameters()[0].1.same(&shift.0));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "register_parameter")]
    pub fn parameter(&mut self, name: &str, parameter: &'a Parameter) -> &mut Self {
        self.held.push((format!("{}{name}", self.path), Found::Parameter(parameter)));
        self
    }

    /// A tensor of this layer that is not learned.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// struct Centre(Buffer);
    /// impl Layer for Centre {
    ///     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> { x - &self.0.get() }
    ///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) { fields.buffer("mean", &self.0); }
    /// }
    /// let centre = Centre(Buffer::new(Tensor::new(5.0, &Device::Cpu)?));
    /// assert_eq!((centre.state().len(), centre.parameters().len()), (1, 0)); // saved, and not learned
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "register_buffer")]
    pub fn buffer(&mut self, name: &str, buffer: &'a Buffer) -> &mut Self {
        self.held.push((format!("{}{name}", self.path), Found::Buffer(buffer)));
        self
    }

    /// A layer inside this layer: the names of its parts come after its own, `fc1.weight`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// struct Twice(Linear);
    /// impl Layer for Twice {
    ///     fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    ///         let y = ctx.call("inner", &self.0, x)?;
    ///         ctx.call("inner", &self.0, &y)
    ///     }
    ///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) { fields.layer("inner", &self.0); }
    /// }
    /// assert_eq!(Twice(Linear::new(2, 2, &mut Rng::seed(1))?).parameters()[0].0, "inner.weight");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "add_module")]
    pub fn layer(&mut self, name: &str, layer: &'a (impl Layer + ?Sized)) -> &mut Self {
        self.under(name, |fields| layer.fields(fields))
    }

    /// Whatever it is: a parameter, a buffer, a layer, or an `Option` or a `Vec` of one.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// struct Blocks(Vec<Linear>, Option<Parameter>);
    /// impl Layer for Blocks {
    ///     fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    ///         self.0.iter().try_fold(x.clone(), |x, block| block.forward(&x, ctx))
    ///     }
    ///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) { fields.field("blocks", &self.0).field("scale", &self.1); }
    /// }
    /// let block = Linear::new(2, 2, &mut Rng::seed(1))?.without_bias();
    /// let names: Vec<String> = Blocks(vec![block], None).parameters().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["blocks.0.weight"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn field(&mut self, name: &str, part: &'a (impl Field + ?Sized)) -> &mut Self {
        part.add(name, self);
        self
    }

    fn under(&mut self, name: &str, f: impl FnOnce(&mut Self)) -> &mut Self {
        let outer = self.path.len();
        self.path.push_str(name);
        self.path.push('.');
        f(self);
        self.path.truncate(outer);
        self
    }

    pub(super) fn into_entries(self) -> Vec<(String, StateEntry)> {
        let held = |found| match found {
            Found::Parameter(parameter) => StateEntry::Parameter(Parameter::clone(parameter)),
            Found::Buffer(buffer) => StateEntry::Buffer(Buffer::clone(buffer)),
        };
        self.held.into_iter().map(|(name, found)| (name, held(found))).collect()
    }
}

/// What a layer can consist of: what [`fields!`](crate::fields) takes.
///
/// ```
/// use tealight::layer::Field;
/// use tealight::prelude::*;
/// // A part of a layer that is no layer itself.
/// struct Range { low: Parameter, high: Parameter }
/// impl Field for Range {
///     fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
///         fields.parameter(&format!("{name}_low"), &self.low).parameter(&format!("{name}_high"), &self.high);
///     }
/// }
/// struct Clamp { range: Range }
/// impl Layer for Clamp {
///     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
///         x.maximum(&self.range.low.get())?.minimum(&self.range.high.get())
///     }
///     tealight::fields!(range);
/// }
/// let [low, high] = [Tensor::new(0.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?].map(Parameter::new);
/// let clamp = Clamp { range: Range { low, high } };
/// assert_eq!(clamp.parameters()[1].0, "range_high");
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "ModuleList")]
pub trait Field {
    /// Adds itself to the list.
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>);
}

impl Field for Parameter {
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
        fields.parameter(name, self);
    }
}

impl Field for Buffer {
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
        fields.buffer(name, self);
    }
}

impl<L: Layer + ?Sized> Field for L {
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
        fields.layer(name, self);
    }
}

impl<P: Field> Field for Option<P> {
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
        if let Some(part) = self {
            part.add(name, fields);
        }
    }
}

/// Numbered, as PyTorch's `ModuleList`: `blocks.0.weight`.
impl<P: Field> Field for Vec<P> {
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
        fields.under(name, |fields| {
            for (i, part) in self.iter().enumerate() {
                part.add(&i.to_string(), fields);
            }
        });
    }
}

/// Writes the method [`Layer::fields`](crate::layer::Layer::fields): the names of the fields that are parameters, buffers
/// or layers (or an `Option` or a `Vec` of them).
///
/// ```
/// use tealight::prelude::*;
///
/// struct Net { fc1: Linear, scale: Parameter }
/// impl Layer for Net {
///     fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
///         ctx.call("fc1", &self.fc1, x)? * &self.scale.get()
///     }
///     tealight::fields!(fc1, scale);
/// }
///
/// let scale = Parameter::new(Tensor::ones(2, DType::F32, &Device::Cpu)?);
/// let net = Net { fc1: Linear::new(3, 2, &mut Rng::seed(1))?, scale };
/// let names: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["fc1.weight", "fc1.bias", "scale"]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[macro_export]
macro_rules! fields {
    ($($field:ident),* $(,)?) => {
        fn fields<'a>(&'a self, fields: &mut $crate::layer::Fields<'a>) {
            let _ = fields$(.field(stringify!($field), &self.$field))*;
        }
    };
}
