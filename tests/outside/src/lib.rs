//! Extensions of tealight by its public names only: one file for each kind, each with its check.

pub mod activation;
pub mod callback;
pub mod data;
pub mod layer;
pub mod loss;
pub mod normalize;
pub mod op;
pub mod optimizer;

#[cfg(test)]
mod tests {
    /// The lines from `pub struct NAME` to the end of what implements it.
    fn length(source: &str, name: &str) -> usize {
        let lines: Vec<&str> = source.lines().collect();
        let start = lines.iter().position(|line| line.starts_with(&format!("pub struct {name}")));
        let start = start.unwrap_or_else(|| panic!("no {name}"));
        let end = lines[start..].iter().position(|line| line.starts_with("///") || line.starts_with("#[cfg"));
        lines[start..start + end.expect("something follows")].iter().filter(|line| !line.is_empty()).count()
    }

    #[test]
    fn each_kind_of_thing_takes_less_than_twenty_lines() {
        for (source, name) in [
            (include_str!("activation.rs"), "Mish"),
            (include_str!("loss.rs"), "SquaredHinge"),
            (include_str!("normalize.rs"), "CentreRows"),
            (include_str!("op.rs"), "Distance"),
            (include_str!("layer.rs"), "Residual"),
            (include_str!("optimizer.rs"), "Signs"),
            (include_str!("callback.rs"), "Halve"),
            (include_str!("data.rs"), "Circle"),
        ] {
            let lines = length(source, name);
            assert!((3..20).contains(&lines), "{name}: {lines} lines");
        }
    }
}
