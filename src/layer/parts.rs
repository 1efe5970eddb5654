//! [`Parts`]: the list of what a layer consists of.

use super::{Buffer, Held, Layer, Parameter};

/// Collects the parameters and buffers of a model under their full names, `fc1.weight`.
#[derive(Default)]
pub struct Parts<'a> {
    path: String,
    held: Vec<(String, Found<'a>)>,
}

enum Found<'a> {
    Parameter(&'a Parameter),
    Buffer(&'a Buffer),
}

impl<'a> Parts<'a> {
    /// A parameter of this layer.
    pub fn parameter(&mut self, name: &str, parameter: &'a Parameter) -> &mut Self {
        self.held.push((format!("{}{name}", self.path), Found::Parameter(parameter)));
        self
    }

    /// A tensor of this layer that is not learned.
    pub fn buffer(&mut self, name: &str, buffer: &'a Buffer) -> &mut Self {
        self.held.push((format!("{}{name}", self.path), Found::Buffer(buffer)));
        self
    }

    /// A layer inside this layer.
    pub fn layer(&mut self, name: &str, layer: &'a (impl Layer + ?Sized)) -> &mut Self {
        self.under(name, |parts| layer.parts(parts))
    }

    /// Whatever it is: a parameter, a buffer, a layer, or an `Option` or a `Vec` of one.
    pub fn part(&mut self, name: &str, part: &'a (impl Part + ?Sized)) -> &mut Self {
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

    pub(super) fn into_held(self) -> Vec<(String, Held)> {
        let held = |found| match found {
            Found::Parameter(parameter) => Held::Parameter(Parameter::clone(parameter)),
            Found::Buffer(buffer) => Held::Buffer(Buffer::clone(buffer)),
        };
        self.held.into_iter().map(|(name, found)| (name, held(found))).collect()
    }
}

/// What a layer can consist of: what [`parts!`](crate::parts) takes.
pub trait Part {
    /// Adds itself to the list.
    fn add<'a>(&'a self, name: &str, parts: &mut Parts<'a>);
}

impl Part for Parameter {
    fn add<'a>(&'a self, name: &str, parts: &mut Parts<'a>) {
        parts.parameter(name, self);
    }
}

impl Part for Buffer {
    fn add<'a>(&'a self, name: &str, parts: &mut Parts<'a>) {
        parts.buffer(name, self);
    }
}

impl<L: Layer + ?Sized> Part for L {
    fn add<'a>(&'a self, name: &str, parts: &mut Parts<'a>) {
        parts.layer(name, self);
    }
}

impl<P: Part> Part for Option<P> {
    fn add<'a>(&'a self, name: &str, parts: &mut Parts<'a>) {
        if let Some(part) = self {
            part.add(name, parts);
        }
    }
}

/// Numbered, as PyTorch's `ModuleList`: `blocks.0.weight`.
impl<P: Part> Part for Vec<P> {
    fn add<'a>(&'a self, name: &str, parts: &mut Parts<'a>) {
        parts.under(name, |parts| {
            for (i, part) in self.iter().enumerate() {
                part.add(&i.to_string(), parts);
            }
        });
    }
}

/// Writes the method [`Layer::parts`](crate::layer::Layer::parts): the names of the fields that are parameters, buffers
/// or layers (or an `Option` or a `Vec` of them).
///
/// ```
/// use tealight::prelude::*;
///
/// struct Net { fc1: Linear, scale: Parameter }
/// impl Layer for Net {
///     fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
///         pass.call("fc1", &self.fc1, x)? * &self.scale.get()
///     }
///     tealight::parts!(fc1, scale);
/// }
///
/// let scale = Parameter::new(Tensor::ones(2, DType::F32, &Device::Cpu)?);
/// let net = Net { fc1: Linear::new(3, 2, &mut Rng::seed(1))?, scale };
/// let names: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["fc1.weight", "fc1.bias", "scale"]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[macro_export]
macro_rules! parts {
    ($($field:ident),* $(,)?) => {
        fn parts<'a>(&'a self, parts: &mut $crate::layer::Parts<'a>) {
            let _ = parts$(.part(stringify!($field), &self.$field))*;
        }
    };
}
