//! What users see has an example, and what can fail says when.

use crate::source::Source;

const KINDS: &[&str] = &["fn", "const fn", "struct", "trait", "enum", "type"];

/// Every public item, constants excepted, has an example in its own docs; every function that gives a `Result` has `# Errors`.
pub(crate) fn shown(source: &Source) -> Vec<String> {
    if ["bin", "kernel"].contains(&source.module()) {
        return vec![];
    }
    let (text, used): (Vec<&str>, Vec<&str>) = (source.text.lines().collect(), source.used.lines().collect());
    let mut wrong = vec![];
    for (i, line) in used.iter().enumerate() {
        let Some(item) = line.trim_start().strip_prefix("pub ") else { continue };
        let Some((kind, rest)) =
            KINDS.iter().find_map(|kind| Some((kind, item.strip_prefix(kind)?.strip_prefix(' ')?)))
        else {
            continue;
        };
        let docs = above(&text, &used, i);
        // A macro's caller has the docs of what it names.
        if docs.iter().any(|line| line.starts_with("$(#[$") || line.starts_with("#[$")) {
            continue;
        }
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next().unwrap_or(rest);
        let mut says = |what: &str| wrong.push(format!("{}:{}: `{name}` has no {what}", source.path, i + 1));
        if !docs.iter().any(|line| line.contains("```")) {
            says("example");
        }
        let fails = kind.ends_with("fn") && gives(&used[i..]).is_some_and(|gives| gives.contains("Result<"));
        if fails && !docs.iter().any(|line| line.contains("# Errors")) {
            says("`# Errors`");
        }
    }
    wrong
}

/// The lines above an item that belong to it: its docs and attributes.
fn above<'a>(text: &[&'a str], used: &[&str], item: usize) -> Vec<&'a str> {
    let lines = (0..item).rev().take_while(|&i| {
        let code = used[i].trim_end();
        !text[i].trim().is_empty() && !code.ends_with(['{', '}', ';'])
    });
    lines.map(|i| text[i].trim_start()).collect()
}

/// What the function that starts here gives, if it says so.
fn gives(lines: &[&str]) -> Option<String> {
    let mut head = String::new();
    for line in lines {
        let (part, end) = match line.find(['{', ';']) {
            Some(end) => (&line[..end], true),
            None => (*line, false),
        };
        head.push_str(part);
        head.push(' ');
        if end {
            break;
        }
    }
    // The last arrow that is not in a bound of an argument.
    let mut depth = 0;
    let arguments = head.char_indices().find_map(|(i, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (c == ')' && depth == 0).then_some(i)
    })?;
    let behind = head[arguments + 1..].split(" where ").next()?;
    behind.trim_start().strip_prefix("->").map(str::to_string)
}
