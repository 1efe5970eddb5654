//! [`Fields`]: the parameters, buffers and inner layers of a layer, by name.

use super::{Buffer, Layer, Parameter, StateEntry};

/// Collects the parameters and buffers of a model under their full names; see [`Layer::fields`].
///
/// [`fields!`](crate::fields) calls it for fields whose names are those in the struct. Written by hand:
///
/// ```
/// use tealight::prelude::*;
/// struct Net { fc1: Linear, scale: Parameter }
/// impl Layer for Net {
///     # fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> { ctx.call("fc1", &self.fc1, x)? * &self.scale.get() }
///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
///         fields.layer("fc1", &self.fc1).parameter("factor", &self.scale);
///     }
/// }
/// # let scale = Parameter::new(Tensor::ones(2, DType::F32, &Device::Cpu)?);
/// # let net = Net { fc1: Linear::new(3, 2, &mut Rng::seed(1))?.without_bias(), scale };
/// # let names: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
/// # assert_eq!(names, ["fc1.weight", "factor"]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Default)]
pub struct Fields<'a> {
    path: String,
    entries: Vec<(String, EntryRef<'a>)>,
}

enum EntryRef<'a> {
    Parameter(&'a Parameter),
    Buffer(&'a Buffer),
}

impl<'a> Fields<'a> {
    /// Adds a parameter of this layer.
    #[doc(alias = "register_parameter")]
    pub fn parameter(&mut self, name: &str, parameter: &'a Parameter) -> &mut Self {
        self.entries.push((format!("{}{name}", self.path), EntryRef::Parameter(parameter)));
        self
    }

    /// Adds a tensor of this layer that is saved, but not learned.
    #[doc(alias = "register_buffer")]
    pub fn buffer(&mut self, name: &str, buffer: &'a Buffer) -> &mut Self {
        self.entries.push((format!("{}{name}", self.path), EntryRef::Buffer(buffer)));
        self
    }

    /// Adds a layer inside this layer; the names of its fields follow its own, as in `fc1.weight`.
    #[doc(alias = "add_module")]
    pub fn layer(&mut self, name: &str, layer: &'a (impl Layer + ?Sized)) -> &mut Self {
        self.under(name, |fields| layer.fields(fields))
    }

    /// Adds a field of any of these types: a parameter, a buffer, a layer, or an `Option` or a `Vec` of one.
    pub fn field(&mut self, name: &str, field: &'a (impl Field + ?Sized)) -> &mut Self {
        field.add(name, self);
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
        let owned = |entry| match entry {
            EntryRef::Parameter(parameter) => StateEntry::Parameter(Parameter::clone(parameter)),
            EntryRef::Buffer(buffer) => StateEntry::Buffer(Buffer::clone(buffer)),
        };
        self.entries.into_iter().map(|(name, entry)| (name, owned(entry))).collect()
    }
}

/// A type that a field of a layer can have in [`fields!`](crate::fields): a [`Parameter`], a [`Buffer`], a [`Layer`]
/// (also in a `Box<dyn Layer>` or an `Arc`), and an `Option` or a `Vec` of one.
///
/// Implement it for a struct of parameters that is not a layer:
///
/// ```
/// use tealight::layer::Field;
/// use tealight::prelude::*;
/// struct Range { low: Parameter, high: Parameter }
/// impl Field for Range {
///     fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
///         fields.parameter(&format!("{name}_low"), &self.low).parameter(&format!("{name}_high"), &self.high);
///     }
/// }
/// # struct Clamp { range: Range }
/// # impl Layer for Clamp {
/// #     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
/// #         x.maximum(&self.range.low.get())?.minimum(&self.range.high.get())
/// #     }
/// #     tealight::fields!(range);
/// # }
/// # let [low, high] = [Tensor::new(0.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?].map(Parameter::new);
/// # let clamp = Clamp { range: Range { low, high } };
/// # assert_eq!(clamp.parameters()[1].0, "range_high");
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "ModuleList")]
pub trait Field {
    /// Adds the field to `fields` under `name`.
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

impl<F: Field> Field for Option<F> {
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
        if let Some(field) = self {
            field.add(name, fields);
        }
    }
}

/// The elements are numbered, as those of PyTorch's `ModuleList`: `blocks.0.weight`.
impl<F: Field> Field for Vec<F> {
    fn add<'a>(&'a self, name: &str, fields: &mut Fields<'a>) {
        fields.under(name, |fields| {
            for (i, field) in self.iter().enumerate() {
                field.add(&i.to_string(), fields);
            }
        });
    }
}

/// Writes [`Layer::fields`](crate::layer::Layer::fields) for the named fields of a struct. Each must be a
/// [`Field`](crate::layer::Field); fields that are not listed are neither learned nor saved.
///
/// ```
/// use tealight::prelude::*;
/// struct Net { blocks: Vec<Box<dyn Layer>>, scale: Option<Parameter>, size: usize }
/// impl Layer for Net {
///     # fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> { self.blocks[0].forward(x, ctx) }
///     tealight::fields!(blocks, scale);
/// }
/// # let net = Net { blocks: vec![Box::new(Linear::new(3, 2, &mut Rng::seed(1))?)], scale: None, size: 0 };
/// # let names: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
/// # assert_eq!((names, net.size), (vec!["blocks.0.weight".to_string(), "blocks.0.bias".to_string()], 0));
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
