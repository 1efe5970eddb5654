//! [`Graph`]: the recorded operations as text and as a diagram.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Tensor;
use super::node::Node;
use crate::kernel::Dims;

/// The operations that a tensor was computed by, oldest first. Made by [`Tensor::graph`].
#[derive(Clone, Debug)]
pub struct Graph {
    operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
struct Operation {
    name: &'static str,
    dims: Dims,
    /// The numbers of the operations that made the inputs; `None` for a constant.
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
        let number = |input: &Option<Arc<Node>>| {
            let id = input.as_ref()?.id;
            Some(ids.binary_search(&id).expect("the inputs of a visited node were visited"))
        };
        let operation = |node: &Arc<Node>| Operation {
            name: node.rule.name(),
            dims: node.dims.clone(),
            inputs: node.edges.iter().map(number).collect(),
            derivative: node.rule.derivative(),
        };
        Graph { operations: nodes.into_values().map(operation).collect() }
    }

    /// The number of operations and parameters.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether the tensor is a constant.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The graph in Graphviz' language; `dot -Tsvg` draws it.
    pub fn to_dot(&self) -> String {
        let mut text =
            String::from("digraph {\n  rankdir = LR;\n  node [shape = box, fontname = \"sans-serif\"];\n");
        for (i, operation) in self.operations.iter().enumerate() {
            let derivative = operation.derivative.as_ref().map(|d| format!("\\n{d}")).unwrap_or_default();
            let label = format!("{}\\n{:?}{derivative}", operation.name, operation.dims).replace('"', "\\\"");
            let style =
                if operation.inputs.is_empty() { ", style = filled, fillcolor = \"#ffe8a3\"" } else { "" };
            text += &format!("  s{i} [label = \"{label}\"{style}];\n");
            for input in operation.inputs.iter().flatten() {
                text += &format!("  s{input} -> s{i};\n");
            }
        }
        text + "}\n"
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, operation) in self.operations.iter().enumerate() {
            write!(f, "{i}: {}", operation.name)?;
            if !operation.inputs.is_empty() {
                let input = |input: &Option<usize>| input.map_or("constant".into(), |i| i.to_string());
                write!(f, "({})", operation.inputs.iter().map(input).collect::<Vec<_>>().join(", "))?;
            }
            write!(f, " {:?}", operation.dims)?;
            if let Some(derivative) = &operation.derivative {
                write!(f, "  ∂ {derivative}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Tensor {
    /// The operations that this tensor was computed by: inputs, shape and, if it is a formula, the derivative.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
    /// assert_eq!((x.sigmoid()? * &x)?.graph().to_string(), "\
    /// 0: parameter [2]
    /// 1: sigmoid(0) [2]  ∂ y * (1 - y)
    /// 2: mul(1, 0) [2]  ∂ [b, a]
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
        assert_eq!(graph.to_dot().matches("->").count(), 4);
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
