//! Patterns of parameter names.

use crate::error::{Error, Result};

/// The indices of the names that match `pattern`; an error if there are none.
pub(crate) fn matching<'a>(
    op: &'static str,
    what: &str,
    names: impl Iterator<Item = &'a str>,
    pattern: &str,
) -> Result<Vec<usize>> {
    let names: Vec<&str> = names.collect();
    let matching: Vec<usize> = (0..names.len()).filter(|&i| fits(names[i], pattern)).collect();
    if matching.is_empty() {
        let expected = format!("a pattern that matches a {what} ({})", names.join(", "));
        return Err(Error::argument(op, expected, format!("{pattern:?}")));
    }
    Ok(matching)
}

/// Whether `name` matches `pattern`, in which `*` stands for any text.
pub(crate) fn fits(name: &str, pattern: &str) -> bool {
    captures(name, pattern).is_some()
}

/// What each `*` of `pattern` stands for in `name`, the first ones as short as possible; none if the name does not match.
pub(crate) fn captures<'a>(name: &'a str, pattern: &str) -> Option<Vec<&'a str>> {
    let mut pieces = pattern.split('*');
    let mut rest = name.strip_prefix(pieces.next().expect("split gives one piece at least"))?;
    let Some(last) = pieces.next_back() else { return rest.is_empty().then(Vec::new) };
    let mut captured = Vec::new();
    for piece in pieces {
        let (before, after) = rest.split_once(piece)?;
        captured.push(before);
        rest = after;
    }
    captured.push(rest.strip_suffix(last)?);
    Some(captured)
}

#[cfg(test)]
mod tests {
    use super::{captures, fits};
    use crate::prelude::*;

    #[test]
    fn patterns() {
        for pattern in ["fc1.weight", "fc1.*", "*", "*weight", "fc*.w*t", "*1*", "**"] {
            assert!(fits("fc1.weight", pattern), "{pattern}");
        }
        for pattern in ["", "fc1", "fc1.weight*x", "weight", "fc2.*", "*bias", "fc1.weight.*", "fc1.weight*t"]
        {
            assert!(!fits("fc1.weight", pattern), "{pattern}");
        }
        assert_eq!(captures("a.1.b.2", "a.*.b.*").unwrap(), ["1", "2"]);
        assert_eq!(captures("a.1.b", "*.*").unwrap(), ["a", "1.b"]);
        assert_eq!(captures("ab", "**b*").unwrap(), ["", "a", ""]);
        assert_eq!(captures("a", "a").unwrap(), [""; 0]);
        let model = Sequential::new().push(Linear::new(2, 1, &mut Rng::seed(1)).unwrap());
        let error = model.freeze("fc1.*").unwrap_err().to_string();
        assert_eq!(
            error,
            "freeze: expected a pattern that matches a parameter (0.weight, 0.bias), got \"fc1.*\""
        );
    }
}
