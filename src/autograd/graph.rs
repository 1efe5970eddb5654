//! [`Graph`]: what was recorded, as text and as a picture.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Tensor;
use super::node::Node;
use crate::kernel::Dims;

/// The operations that a tensor was recorded from, oldest first. Made by [`Tensor::graph`].
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(0.5, &Device::Cpu)?.into_array());
/// assert_eq!(x.exp()?.graph().to_string(), "0: parameter []\n1: exp(0) []  ∂ y\n");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Graph {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    name: &'static str,
    dims: Dims,
    /// The steps that made the inputs; `None` for a constant.
    inputs: Vec<Option<usize>>,
    derivative: Option<String>,
}

impl Graph {
    fn of(tensor: &Tensor) -> Self {
        let mut nodes = BTreeMap::new();
        let mut waiting: Vec<&Arc<Node>> = tensor.node.iter().collect();
        while let Some(node) = waiting.pop() {
            if nodes.insert(node.id, node).is_none() {
                waiting.extend(node.edges.iter().flatten());
            }
        }
        let ids: Vec<u64> = nodes.keys().copied().collect();
        let number = |input: &Option<Arc<Node>>| ids.binary_search(&input.as_ref()?.id).ok();
        let step = |node: &Arc<Node>| Step {
            name: node.rule.name(),
            dims: node.dims.clone(),
            inputs: node.edges.iter().map(number).collect(),
            derivative: node.rule.derivative(),
        };
        Graph { steps: nodes.into_values().map(step).collect() }
    }

    /// How many operations and parameters there are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
    /// assert_eq!((&x * &x)?.graph().len(), 2); // the parameter and the product
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing was recorded.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
    /// assert!(!x.exp()?.graph().is_empty() && x.exp()?.detach().graph().is_empty());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The graph in Graphviz' language: `dot -Tsvg` makes a picture of it.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
    /// let dot = x.sigmoid()?.sum_all()?.graph().dot();
    /// assert!(dot.starts_with("digraph {") && dot.contains("s0 -> s1"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn dot(&self) -> String {
        let mut text =
            String::from("digraph {\n  rankdir = LR;\n  node [shape = box, fontname = \"sans-serif\"];\n");
        for (i, step) in self.steps.iter().enumerate() {
            let derivative = step.derivative.as_ref().map(|d| format!("\\n{d}")).unwrap_or_default();
            let label = format!("{}\\n{:?}{derivative}", step.name, step.dims).replace('"', "\\\"");
            let style = if step.inputs.is_empty() { ", style = filled, fillcolor = \"#ffe8a3\"" } else { "" };
            text += &format!("  s{i} [label = \"{label}\"{style}];\n");
            for input in step.inputs.iter().flatten() {
                text += &format!("  s{input} -> s{i};\n");
            }
        }
        text + "}\n"
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{i}: {}", step.name)?;
            if !step.inputs.is_empty() {
                let input = |input: &Option<usize>| input.map_or("constant".into(), |i| i.to_string());
                write!(f, "({})", step.inputs.iter().map(input).collect::<Vec<_>>().join(", "))?;
            }
            write!(f, " {:?}", step.dims)?;
            if let Some(derivative) = &step.derivative {
                write!(f, "  ∂ {derivative}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Tensor {
    /// The operations that this tensor was recorded from, each with its inputs, its shape and, where it is a formula,
    /// its derivative. Empty for a constant.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
    /// let y = (x.sigmoid()? * &x)?.sum_all()?;
    /// assert_eq!(y.graph().to_string(), "\
    /// 0: parameter [2]
    /// 1: sigmoid(0) [2]  ∂ y * (1 - y)
    /// 2: mul(1, 0) [2]  ∂ [b, a]
    /// 3: sum(2) []
    /// ");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn graph(&self) -> Graph {
        Graph::of(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn shared_parts_and_constants() -> Result<()> {
        let x = Tensor::parameter(Array::new(&[[1.0, 2.0]], &Device::Cpu)?);
        assert!(x.detach().graph().is_empty());
        let y = (&x * &x.detach())?;
        let graph = (Tensor::cat(&[&y, &y], 0)? + 1.0)?.graph();
        assert_eq!(graph.len(), 4);
        let expected = "0: parameter [1, 2]\n1: mul(0, constant) [1, 2]  ∂ [b, a]\n2: cat(1, 1) [2, 2]\n\
                        3: add(2) [2, 2]  ∂ 1\n";
        assert_eq!(graph.to_string(), expected);
        assert_eq!(graph.dot().matches("->").count(), 4);
        Ok(())
    }

    #[test]
    fn a_long_chain_on_a_small_stack() {
        let run = || {
            let mut y = Tensor::parameter(Array::new(1.0, &Device::Cpu).unwrap());
            for _ in 0..100_000 {
                y = y.neg().unwrap();
            }
            y.graph().len()
        };
        let thread = std::thread::Builder::new().stack_size(1 << 21).spawn(run).unwrap();
        assert_eq!(thread.join().unwrap(), 100_001);
    }
}
