//! A source file as the rules read it.

/// A file, read in several ways. All texts have the same lines.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Without comments and the insides of literals.
    pub(crate) code: String,
    /// Of that, what is compiled for users.
    pub(crate) used: String,
    /// And what is compiled for tests only.
    pub(crate) tests: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = without_comments(text);
        let (used, tests) = without_tests(&code);
        Source { path: path.into(), text: text.into(), code, used, tests }
    }

    pub(crate) fn module(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
    }

    /// How many `super::` lead from this file to the root of the crate.
    pub(crate) fn depth(&self) -> usize {
        self.path.split('/').count() - 1 - usize::from(self.path.ends_with("/mod.rs"))
    }

    pub(crate) fn at(&self, offset: usize, message: &str) -> String {
        format!("{}:{}: {message}", self.path, 1 + self.lines_before(offset))
    }

    pub(crate) fn lines_before(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count()
    }
}

/// Blanks comments and the insides of literals; every other byte, and every line, stays where it is.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = literal_end(bytes, i).min(bytes.len());
        out[i..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        i = end.max(i + 1);
    }
    String::from_utf8(out).expect("whole literals are blanked")
}

/// Where the comment or literal that starts at `i` ends; `i` if none does.
fn literal_end(b: &[u8], i: usize) -> usize {
    let rest = &b[i..];
    let find = |from: usize, what: &[u8]| {
        (from..b.len()).find(|&j| b[j..].starts_with(what)).map_or(b.len(), |j| j + what.len())
    };
    if rest.starts_with(b"//") {
        return find(i, b"\n") - usize::from(find(i, b"\n") < b.len());
    }
    if rest.starts_with(b"/*") {
        let (mut j, mut depth) = (i + 2, 1);
        while depth > 0 && j < b.len() {
            (j, depth) = match &b[j..] {
                [b'/', b'*', ..] => (j + 2, depth + 1),
                [b'*', b'/', ..] => (j + 2, depth - 1),
                _ => (j + 1, depth),
            };
        }
        return j;
    }
    let name = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    match rest {
        [b'"', ..] => {
            let mut j = i + 1;
            while j < b.len() && b[j] != b'"' {
                j += if b[j] == b'\\' { 2 } else { 1 };
            }
            j + 1
        }
        [b'r', ..] if i == 0 || !name(b[i - 1]) || b[i - 1] == b'b' => {
            let hashes = rest[1..].iter().take_while(|&&c| c == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return i;
            }
            find(i + 2 + hashes, format!("\"{}", "#".repeat(hashes)).as_bytes())
        }
        [b'\'', b'\\', ..] => find(i + 3, b"'"),
        // A lifetime has no closing quote after its first letter.
        [b'\'', first, ..] => {
            let width = match first {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            if rest.get(1 + width) == Some(&b'\'') { i + 2 + width } else { i }
        }
        _ => i,
    }
}

/// Splits code into what users get and what stands under `#[cfg(test)]`.
fn without_tests(code: &str) -> (String, String) {
    let (mut used, mut tests) = (code.as_bytes().to_vec(), code.as_bytes().to_vec());
    let blank = |bytes: &mut [u8]| bytes.iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
    let mut from = 0;
    while let Some(start) = code[from..].find("#[cfg(test)]").map(|i| from + i) {
        let end = item_end(code.as_bytes(), start);
        blank(&mut used[start..end]);
        blank(&mut tests[from..start]);
        from = end;
    }
    blank(&mut tests[from..]);
    let text = |bytes| String::from_utf8(bytes).expect("items are blanked whole");
    (text(used), text(tests))
}

/// Where the item that the attribute at `start` belongs to ends: at its `;` or its closing brace.
fn item_end(code: &[u8], start: usize) -> usize {
    let mut depth = 0;
    for (i, byte) in code.iter().enumerate().skip(start) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth -= 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            b';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    code.len()
}

/// Offsets of `word` where no name goes on before or behind it.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(i, _)| i).filter(move |&i| {
        let before = code[..i].chars().next_back().is_some_and(name) && word.starts_with(name);
        let behind = code[i + word.len()..].chars().next().is_some_and(name) && word.ends_with(name);
        !before && !behind
    })
}

/// The files that another one declares with `#[cfg(test)] mod name;`.
pub(crate) fn test_files(source: &Source) -> Vec<String> {
    let folder = match source.path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs")) => folder.to_string(),
        _ => source.path.trim_end_matches(".rs").to_string(),
    };
    let names = words(&source.tests, "mod").filter_map(|i| source.tests[i + 3..].split_once(';'));
    let names = names
        .map(|(name, _)| name.trim())
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
    names.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]).collect()
}
