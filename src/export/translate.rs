//! From the little of Rust that the elementary functions, the exported kernels and programs are written in to C.
//!
//! Functions of numbers, arrays and slices, with `let`, `if`, `for` over a range and `while`: what stands once in Rust is not
//! written a second time in C.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

#[derive(Clone, Debug, PartialEq)]
enum Type {
    F32,
    F64,
    U32,
    U64,
    U8,
    I8,
    I32,
    Usize,
    Bool,
    Array(Box<Type>, usize),
    Slice(Box<Type>, bool),
    Tuple(Vec<Type>),
    Unit,
}

#[derive(Clone, Debug)]
enum Expr {
    Number(String, Option<Type>),
    Path(Vec<String>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Call(Vec<String>, Vec<Expr>),
    Method(Box<Expr>, String, Vec<Expr>),
    Index(Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Cast(Box<Expr>, Type),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Zeros(Type, usize),
}

#[derive(Clone, Debug)]
enum Stmt {
    /// Names, type, value; the names of a tuple or an array if there are several.
    Let(Vec<String>, Option<Type>, Expr),
    Assign(Expr, Expr),
    For(String, Expr, Expr, Vec<Stmt>),
    While(Expr, Vec<Stmt>),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Return(Expr),
    Call(Expr),
}

struct Function {
    parameters: Vec<(String, Type)>,
    result: Type,
    body: Vec<Stmt>,
}

enum Item {
    Function(Function),
    Constant(Type, Expr),
}

/// Functions and constants by name, each with its Rust.
pub(super) struct Source {
    items: BTreeMap<String, (Item, String)>,
    /// The names in the order in which they stand, which is one in which C may have them if a function comes after those it calls.
    order: Vec<String>,
}

/// The text of a file with a number behind the names of its private constants: those of several files may be alike.
fn own_names(text: &str, number: usize) -> String {
    let names: Vec<&str> =
        text.lines().filter_map(|line| Some(line.strip_prefix("const ")?.split_once(':')?.0)).collect();
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let end = rest[start..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(rest.len(), |end| start + end);
        renamed += &rest[..end];
        if names.contains(&&rest[start..end]) {
            renamed += &format!("_{number}");
        }
        rest = &rest[end..];
    }
    renamed + rest
}

/// The operators, the loosest first.
const OPERATORS: [&[&str]; 9] = [
    &["||"],
    &["&&"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["|"],
    &["^"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number(String),
    Sign(&'static str),
}

const SIGNS: [&str; 40] = [
    "..=", "<<", ">>", "->", "=>", "::", "..", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=",
    "+", "-", "*", "/", "%", "=", "<", ">", "!", "&", "|", "^", "(", ")", "[", "]", "{", "}", ",", ";", ":",
    ".", "#",
];

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
}

fn tokens(text: &str) -> Vec<(Token, usize)> {
    let (bytes, mut i, mut found) = (text.as_bytes(), 0, Vec::new());
    while i < bytes.len() {
        let rest = &text[i..];
        let c = rest.chars().next().expect("a character: there are bytes left");
        if rest.starts_with("//") {
            i += rest.find('\n').unwrap_or(rest.len());
        } else if c.is_whitespace()
            || c == '$'
            || c == '\''
            || c == '"'
            || c == '?'
            || c == '@'
            || !c.is_ascii()
        {
            i += c.len_utf8();
        } else if c.is_ascii_digit() {
            let mut end = 1;
            while let Some(next) = bytes.get(i + end) {
                let exponent =
                    matches!(next, b'-' | b'+') && bytes[i + end - 1] == b'e' && !rest.starts_with("0x");
                let point = *next == b'.' && bytes.get(i + end + 1).is_some_and(u8::is_ascii_digit);
                if next.is_ascii_alphanumeric() || *next == b'_' || exponent || point {
                    end += 1;
                } else {
                    break;
                }
            }
            found.push((Token::Number(rest[..end].replace('_', "")), i));
            i += end;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push((Token::Word(rest[..end].into()), i));
            i += end;
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign)).expect("a sign of Rust");
            found.push((Token::Sign(sign), i));
            i += sign.len();
        }
    }
    found
}

impl Source {
    /// The functions and constants of some files; what else there is is left out.
    pub(super) fn parse(files: &[&str]) -> Source {
        let mut source = Source { items: BTreeMap::new(), order: Vec::new() };
        for text in files {
            let text = &own_names(text, source.order.len());
            let mut parser = Parser { text, tokens: tokens(text), at: 0 };
            while parser.at < parser.tokens.len() {
                let start = parser.start();
                parser.attributes();
                if parser.accept_word("pub") && parser.accept("(") {
                    parser.skip_to(")");
                }
                if parser.accept_word("const") && !parser.is_word("fn") {
                    let name = parser.word();
                    parser.expect(":");
                    // One of texts.
                    if parser.peek(1) == Some(&Token::Sign("&")) {
                        parser.skip_item();
                        continue;
                    }
                    let ty = parser.ty();
                    parser.expect("=");
                    let value = parser.expr(0);
                    parser.expect(";");
                    source.insert(name, Item::Constant(ty, value), parser.since(start));
                } else if parser.accept_word("fn") {
                    let name = parser.word();
                    if let Some(function) = parser.function() {
                        source.insert(name, Item::Function(function), parser.since(start));
                    }
                } else {
                    parser.skip_item();
                }
            }
        }
        source
    }

    fn insert(&mut self, name: String, item: Item, text: &str) {
        self.order.push(name.clone());
        self.items.insert(name, (item, text.into()));
    }

    /// The items that `names` need, with themselves, each after those it needs.
    fn needed(&self, names: &[&str]) -> Vec<&str> {
        fn visit<'a>(source: &'a Source, name: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
            let Some((name, (item, _))) = source.items.get_key_value(name) else { return };
            if !seen.insert(name) {
                return;
            }
            let mut words = Vec::new();
            match item {
                Item::Function(function) => function.body.iter().for_each(|stmt| stmt.names(&mut words)),
                Item::Constant(_, value) => value.names(&mut words),
            }
            words.iter().for_each(|word| visit(source, word, seen, order));
            order.push(name);
        }
        let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
        names.iter().for_each(|name| visit(self, name, &mut seen, &mut order));
        order
    }

    /// The Rust of what `names` need.
    pub(super) fn rust(&self, names: &[&str]) -> String {
        self.needed(names)
            .into_iter()
            .fold(String::new(), |text, name| text + self.items[name].1.trim() + "\n\n")
    }

    /// The C of what `names` need.
    pub(super) fn c(&self, names: &[&str]) -> String {
        self.c_without(names, &[])
    }

    /// [`c`](Self::c), without some that are there already.
    pub(super) fn c_without(&self, names: &[&str], known: &[&str]) -> String {
        let mut text = String::new();
        let mut pairs = BTreeSet::new();
        for name in self.needed(names).into_iter().filter(|name| !known.contains(name)) {
            match &self.items[name].0 {
                Item::Constant(ty, value) => {
                    let scope = Scope::new(self);
                    let value = scope.value(value, ty);
                    let _ = writeln!(text, "static const {} = {value};\n", declared(ty, name));
                }
                Item::Function(function) => {
                    if let Type::Tuple(parts) = &function.result
                        && pairs.insert(pair(parts))
                    {
                        let fields: String = parts
                            .iter()
                            .enumerate()
                            .map(|(i, part)| format!(" {};", declared(part, &format!("p{i}"))))
                            .collect();
                        let _ = writeln!(text, "typedef struct {{{fields} }} {};\n", pair(parts));
                    }
                    text += &Scope::new(self).function(name, function);
                }
            }
        }
        text
    }
}

impl Stmt {
    fn names(&self, words: &mut Vec<String>) {
        match self {
            Stmt::Let(_, _, value) | Stmt::Return(value) | Stmt::Call(value) => value.names(words),
            Stmt::Assign(place, value) => [place, value].into_iter().for_each(|part| part.names(words)),
            Stmt::For(_, from, to, body) => {
                [from, to].into_iter().for_each(|part| part.names(words));
                body.iter().for_each(|stmt| stmt.names(words));
            }
            Stmt::While(condition, body) => {
                condition.names(words);
                body.iter().for_each(|stmt| stmt.names(words));
            }
            Stmt::If(condition, yes, no) => {
                condition.names(words);
                yes.iter().chain(no).for_each(|stmt| stmt.names(words));
            }
        }
    }
}

impl Expr {
    fn names(&self, words: &mut Vec<String>) {
        match self {
            Expr::Number(..) | Expr::Zeros(..) => {}
            Expr::Path(path) => words.extend(path.last().cloned()),
            Expr::Unary(_, a) | Expr::Cast(a, _) => a.names(words),
            Expr::Binary(_, a, b) | Expr::Index(a, b) => {
                [a, b].into_iter().for_each(|part| part.names(words))
            }
            Expr::Call(path, parts) => {
                words.extend(path.last().cloned());
                parts.iter().for_each(|part| part.names(words));
            }
            Expr::Method(a, name, parts) => {
                words.extend((name == "floor").then(|| "floor_f32".into()));
                a.names(words);
                parts.iter().for_each(|part| part.names(words));
            }
            Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|part| part.names(words)),
            Expr::Tuple(parts) | Expr::List(parts) => parts.iter().for_each(|part| part.names(words)),
        }
    }
}

impl<'a> Parser<'a> {
    fn start(&self) -> usize {
        self.tokens[self.at].1
    }

    /// The text from `start` to behind the last token.
    fn since(&self, start: usize) -> &'a str {
        let end = self.tokens.get(self.at).map_or(self.text.len(), |(_, end)| *end);
        // Without what belongs to the next item.
        let text = &self.text[start..end];
        &text[..text.rfind(['}', ';']).map_or(text.len(), |last| last + 1)]
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, _)| token)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(0), Some(Token::Sign(own)) if *own == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(0), Some(Token::Word(own)) if own == word)
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) {
        assert!(self.accept(sign), "translate: expected {sign}, got {:?} in {}", self.peek(0), self.rest());
    }

    fn rest(&self) -> &str {
        let start = self.tokens.get(self.at).map_or(self.text.len(), |(_, at)| *at);
        self.text[start..].lines().next().unwrap_or_default()
    }

    fn word(&mut self) -> String {
        let Some(Token::Word(word)) = self.peek(0).cloned() else {
            unreachable!("translate: expected a name, got {}", self.rest())
        };
        self.at += 1;
        word
    }

    /// Skips to behind the sign that closes what was opened before.
    fn skip_to(&mut self, close: &str) {
        let open = match close {
            ")" => "(",
            "]" => "[",
            _ => "{",
        };
        let mut depth = 1;
        while depth > 0 {
            if self.is(open) {
                depth += 1;
            } else if self.is(close) {
                depth -= 1;
            }
            self.at += 1;
        }
    }

    fn attributes(&mut self) {
        while self.accept("#") {
            self.accept("!");
            self.expect("[");
            self.skip_to("]");
        }
    }

    /// Skips to behind a semicolon or braces.
    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            if self.accept(";") {
                return;
            }
            if self.accept("{") {
                return self.skip_to("}");
            }
            self.at += 1;
        }
    }

    fn ty(&mut self) -> Type {
        if self.accept("&") {
            let mutable = self.accept_word("mut");
            self.expect("[");
            let of = self.ty();
            self.expect("]");
            return Type::Slice(Box::new(of), mutable);
        }
        if self.accept("[") {
            let of = self.ty();
            self.expect(";");
            let Expr::Number(n, _) = self.expr(0) else {
                unreachable!("translate: an array's length is a number")
            };
            self.expect("]");
            return Type::Array(Box::new(of), n.parse().expect("a length"));
        }
        if self.accept("(") {
            let mut parts = Vec::new();
            while !self.accept(")") {
                parts.push(self.ty());
                self.accept(",");
            }
            return Type::Tuple(parts);
        }
        match self.word().as_str() {
            // The generic functions of one number.
            "f32" | "X" => Type::F32,
            "f64" => Type::F64,
            "u32" => Type::U32,
            "u64" => Type::U64,
            "u8" => Type::U8,
            "i8" => Type::I8,
            "i32" => Type::I32,
            "usize" => Type::Usize,
            "bool" => Type::Bool,
            other => unreachable!("translate: no type {other}"),
        }
    }

    /// A function behind its name; none if it is not for the translation.
    fn function(&mut self) -> Option<Function> {
        if self.accept("<") {
            while !self.accept(">") {
                self.at += 1;
            }
        }
        self.expect("(");
        if self.is("&") || self.is_word("self") || self.is(")") {
            self.skip_item();
            return None;
        }
        let mut parameters = Vec::new();
        while !self.accept(")") {
            let name = self.word();
            self.expect(":");
            parameters.push((name, self.ty()));
            self.accept(",");
        }
        let result = if self.accept("->") { self.ty() } else { Type::Unit };
        self.expect("{");
        Some(Function { parameters, result, body: self.block() })
    }

    /// The statements up to the closing brace; a last expression is returned.
    fn block(&mut self) -> Vec<Stmt> {
        let mut body = Vec::new();
        while !self.accept("}") {
            let stmt = self.stmt();
            body.push(stmt);
        }
        body
    }

    fn stmt(&mut self) -> Stmt {
        if self.accept_word("let") {
            let mut names = Vec::new();
            if self.accept("(") || self.accept("[") {
                while !(self.accept(")") || self.accept("]")) {
                    names.push(self.word());
                    self.accept(",");
                }
            } else {
                self.accept_word("mut");
                names.push(self.word());
            }
            let ty = self.accept(":").then(|| self.ty());
            self.expect("=");
            let value = match &ty {
                // `[0.0; 16]`
                Some(Type::Array(of, n)) => {
                    self.expect("[");
                    self.skip_to("]");
                    Expr::Zeros((**of).clone(), *n)
                }
                _ => self.expr(0),
            };
            self.expect(";");
            return Stmt::Let(names, ty, value);
        }
        if self.accept_word("const") {
            let name = self.word();
            self.expect(":");
            let ty = self.ty();
            self.expect("=");
            let value = self.expr(0);
            self.expect(";");
            return Stmt::Let(vec![name], Some(ty), value);
        }
        if self.accept_word("for") {
            let name = self.word();
            assert!(self.accept_word("in"), "translate: for … in");
            let from = self.expr(0);
            self.expect("..");
            let to = self.expr(0);
            self.expect("{");
            return Stmt::For(name, from, to, self.block());
        }
        if self.accept_word("while") {
            let condition = self.expr(0);
            self.expect("{");
            return Stmt::While(condition, self.block());
        }
        if self.accept_word("return") {
            let value = self.expr(0);
            self.expect(";");
            return Stmt::Return(value);
        }
        if self.is_word("if") {
            let start = self.at;
            // An expression at the end of a block, or a statement.
            let value = self.expr(0);
            if self.is("}")
                && matches!(&value, Expr::If(_, yes, _) if !matches!(**yes, Expr::Tuple(ref parts) if parts.is_empty()))
            {
                return Stmt::Return(value);
            }
            self.at = start;
            return self.if_stmt();
        }
        let value = self.expr(0);
        if self.accept("=") {
            let new = self.expr(0);
            self.expect(";");
            return Stmt::Assign(value, new);
        }
        if self.accept(";") { Stmt::Call(value) } else { Stmt::Return(value) }
    }

    fn if_stmt(&mut self) -> Stmt {
        self.at += 1;
        let condition = self.expr(0);
        self.expect("{");
        let yes = self.block();
        let no = match self.accept_word("else") {
            true if self.is_word("if") => vec![self.if_stmt()],
            true => {
                self.expect("{");
                self.block()
            }
            false => Vec::new(),
        };
        Stmt::If(condition, yes, no)
    }

    fn expr(&mut self, level: usize) -> Expr {
        let Some(signs) = OPERATORS.get(level) else { return self.cast() };
        let mut left = self.expr(level + 1);
        'more: loop {
            for sign in *signs {
                if self.accept(sign) {
                    left = Expr::Binary(sign, Box::new(left), Box::new(self.expr(level + 1)));
                    continue 'more;
                }
            }
            return left;
        }
    }

    fn cast(&mut self) -> Expr {
        let mut value = self.unary();
        while self.accept_word("as") {
            value = Expr::Cast(Box::new(value), self.ty());
        }
        value
    }

    fn unary(&mut self) -> Expr {
        if self.accept("-") {
            return Expr::Unary("-", Box::new(self.unary()));
        }
        if self.accept("!") {
            return Expr::Unary("!", Box::new(self.unary()));
        }
        if self.accept("&") {
            self.accept_word("mut");
            return self.unary();
        }
        let mut value = self.atom();
        loop {
            if self.accept(".") {
                let name = self.word();
                self.expect("(");
                value = Expr::Method(Box::new(value), name, self.list(")"));
            } else if self.accept("[") {
                let index = self.expr(0);
                self.expect("]");
                value = Expr::Index(Box::new(value), Box::new(index));
            } else {
                return value;
            }
        }
    }

    fn list(&mut self, close: &str) -> Vec<Expr> {
        let mut parts = Vec::new();
        while !self.accept(close) {
            parts.push(self.expr(0));
            self.accept(",");
        }
        parts
    }

    fn atom(&mut self) -> Expr {
        if self.accept("(") {
            let mut parts = self.list(")");
            return if parts.len() == 1 { parts.remove(0) } else { Expr::Tuple(parts) };
        }
        if self.accept("[") {
            return Expr::List(self.list("]"));
        }
        if self.accept_word("if") {
            let condition = self.expr(0);
            let branch = |own: &mut Self| {
                own.expect("{");
                let start = own.at;
                // One expression, or statements, which are parsed again as such.
                if own.is_word("return")
                    || own.is_word("let")
                    || own.is_word("for")
                    || own.is_word("while")
                    || own.is("}")
                {
                    own.skip_to("}");
                    return Expr::Tuple(Vec::new());
                }
                let value = own.expr(0);
                if own.accept("}") {
                    return value;
                }
                own.at = start;
                own.skip_to("}");
                Expr::Tuple(Vec::new())
            };
            let yes = branch(self);
            let no = match self.accept_word("else") {
                true if self.is_word("if") => self.atom(),
                true => branch(self),
                false => Expr::Tuple(Vec::new()),
            };
            return Expr::If(Box::new(condition), Box::new(yes), Box::new(no));
        }
        if let Some(Token::Number(text)) = self.peek(0).cloned() {
            self.at += 1;
            let suffixes = [
                ("f32", Type::F32),
                ("f64", Type::F64),
                ("u32", Type::U32),
                ("u64", Type::U64),
                ("usize", Type::Usize),
            ];
            for (suffix, ty) in suffixes {
                if let Some(number) = text.strip_suffix(suffix).filter(|_| !text.starts_with("0x")) {
                    return Expr::Number(number.into(), Some(ty));
                }
            }
            return Expr::Number(text, None);
        }
        let mut path = vec![self.word()];
        while self.accept("::") {
            path.push(self.word());
        }
        if path == ["polynomial"] && self.accept("!") {
            // polynomial!(x, C[2 1 0])
            self.expect("(");
            let x = self.expr(0);
            self.expect(",");
            let coefficients = Expr::Path(vec![self.word()]);
            self.expect("[");
            let mut value: Option<Expr> = None;
            while !self.accept("]") {
                let c = Expr::Index(Box::new(coefficients.clone()), Box::new(self.atom()));
                value = Some(match value {
                    None => c,
                    Some(value) => Expr::Method(Box::new(value), "mul_add".into(), vec![x.clone(), c]),
                });
            }
            self.expect(")");
            return value.expect("a polynomial has coefficients");
        }
        match self.accept("(") {
            true => Expr::Call(path, self.list(")")),
            false => Expr::Path(path),
        }
    }
}

/// The C type.
fn c_type(ty: &Type) -> String {
    match ty {
        Type::F32 => "float".into(),
        Type::F64 => "double".into(),
        Type::U32 => "uint32_t".into(),
        Type::U64 => "uint64_t".into(),
        Type::U8 => "uint8_t".into(),
        Type::I8 => "int8_t".into(),
        Type::I32 => "int32_t".into(),
        Type::Usize => "size_t".into(),
        Type::Bool => "bool".into(),
        Type::Unit => "void".into(),
        Type::Tuple(parts) => pair(parts),
        Type::Slice(of, true) => format!("{} *", c_type(of)),
        Type::Slice(of, false) => format!("const {} *", c_type(of)),
        Type::Array(..) => unreachable!("an array is declared with its name"),
    }
}

fn declared(ty: &Type, name: &str) -> String {
    match ty {
        Type::Array(of, n) => format!("{} {name}[{n}]", c_type(of)),
        Type::Slice(..) => format!("{}{name}", c_type(ty)),
        _ => format!("{} {name}", c_type(ty)),
    }
}

/// The struct of a tuple.
fn pair(parts: &[Type]) -> String {
    parts.iter().fold("pair".into(), |name, part| name + "_" + &c_type(part))
}

fn bits(ty: &Type) -> &'static str {
    if *ty == Type::F64 { "64" } else { "32" }
}

/// Names that Rust leaves to variables and C does not.
const RESERVED: [&str; 14] = [
    "auto", "case", "char", "default", "double", "float", "int", "long", "register", "short", "signed",
    "switch", "union", "unsigned",
];

/// The variables of a function.
struct Scope<'a> {
    source: &'a Source,
    /// What a name is in C, and its type.
    variables: HashMap<String, (String, Type)>,
    used: BTreeSet<String>,
}

impl<'a> Scope<'a> {
    fn new(source: &'a Source) -> Self {
        Scope { source, variables: HashMap::new(), used: RESERVED.map(String::from).into() }
    }

    /// A C name for a variable: Rust's may be declared again.
    fn declare(&mut self, name: &str, ty: Type) -> String {
        let mut own = name.to_string();
        let mut number = 1;
        while !self.used.insert(own.clone()) {
            number += 1;
            own = format!("{name}{number}");
        }
        self.variables.insert(name.into(), (own.clone(), ty));
        own
    }

    fn function(mut self, name: &str, function: &Function) -> String {
        let mut parameters = Vec::new();
        for (name, ty) in &function.parameters {
            let own = self.declare(name, ty.clone());
            parameters.push(declared(ty, &own));
        }
        let mut text = format!("static {} {name}({}) {{\n", c_type(&function.result), parameters.join(", "));
        self.stmts(&function.body, &function.result, 1, &mut text);
        text + "}\n\n"
    }

    fn stmts(&mut self, body: &[Stmt], result: &Type, depth: usize, text: &mut String) {
        let (outer, indent) = (self.variables.clone(), "    ".repeat(depth));
        for stmt in body {
            match stmt {
                Stmt::Let(names, _, Expr::Zeros(of, n)) => {
                    let own = self.declare(&names[0], Type::Array(Box::new(of.clone()), *n));
                    let _ = writeln!(text, "{indent}{} {own}[{n}] = {{ 0 }};", c_type(of));
                }
                Stmt::Let(names, ty, value) if names.len() == 1 => {
                    let ty = ty
                        .clone()
                        .or_else(|| self.ty(value))
                        // Numbers alone are so in Rust, too.
                        .unwrap_or(Type::F64);
                    let value = self.value(value, &ty);
                    let own = self.declare(&names[0], ty.clone());
                    let _ = writeln!(text, "{indent}{} = {value};", declared(&ty, &own));
                }
                Stmt::Let(names, _, value) => {
                    let parts = self.parts(names, value, &indent, text);
                    for (name, (value, ty)) in names.iter().zip(parts) {
                        if name != "_" {
                            let own = self.declare(name, ty.clone());
                            let _ = writeln!(text, "{indent}{} = {value};", declared(&ty, &own));
                        }
                    }
                }
                Stmt::Assign(place, value) => {
                    let ty = self.ty(place).expect("a place has a type");
                    let _ =
                        writeln!(text, "{indent}{} = {};", self.value(place, &ty), self.value(value, &ty));
                }
                Stmt::For(name, from, to, body) => {
                    let (from, to) = (self.value(from, &Type::Usize), self.value(to, &Type::Usize));
                    let before = self.variables.clone();
                    let own = self.declare(name, Type::Usize);
                    let _ =
                        writeln!(text, "{indent}for (size_t {own} = {from}; {own} < {to}; {own} += 1) {{");
                    self.stmts(body, result, depth + 1, text);
                    self.variables = before;
                    let _ = writeln!(text, "{indent}}}");
                }
                Stmt::While(condition, body) => {
                    let _ = writeln!(text, "{indent}while {} {{", self.condition(condition));
                    self.stmts(body, result, depth + 1, text);
                    let _ = writeln!(text, "{indent}}}");
                }
                Stmt::If(condition, yes, no) => {
                    let _ = writeln!(text, "{indent}if {} {{", self.condition(condition));
                    self.stmts(yes, result, depth + 1, text);
                    if !no.is_empty() {
                        let _ = writeln!(text, "{indent}}} else {{");
                        self.stmts(no, result, depth + 1, text);
                    }
                    let _ = writeln!(text, "{indent}}}");
                }
                Stmt::Return(value) => {
                    let value = self.value(value, result);
                    let _ = match result {
                        Type::Unit => writeln!(text, "{indent}{value};"),
                        Type::Tuple(parts) => writeln!(text, "{indent}return ({}){value};", pair(parts)),
                        _ => writeln!(text, "{indent}return {value};"),
                    };
                }
                Stmt::Call(value) => {
                    let _ = writeln!(text, "{indent}{};", self.value(value, &Type::Unit));
                }
            }
        }
        self.variables = outer;
    }

    /// The parts of a tuple or an array, with their types. All are computed before the first of `names` is declared.
    fn parts(
        &mut self,
        names: &[String],
        value: &Expr,
        indent: &str,
        text: &mut String,
    ) -> Vec<(String, Type)> {
        match value {
            Expr::Tuple(parts) => {
                let typed = |part: &Expr| self.ty(part).expect("a part has a type");
                let types: Vec<Type> = parts.iter().map(typed).collect();
                parts.iter().zip(types).map(|(part, ty)| (self.value(part, &ty), ty)).collect()
            }
            _ => match self.ty(value) {
                Some(Type::Array(of, _)) => {
                    let array = self.value(value, &Type::Unit);
                    (0..names.len()).map(|i| (format!("{array}[{i}]"), (*of).clone())).collect()
                }
                Some(Type::Tuple(parts)) => {
                    let value = self.value(value, &Type::Tuple(parts.clone()));
                    let own = self.declare("parts", Type::Tuple(parts.clone()));
                    let _ = writeln!(text, "{indent}{} {own} = {value};", pair(&parts));
                    parts.into_iter().enumerate().map(|(i, part)| (format!("{own}.p{i}"), part)).collect()
                }
                other => unreachable!("translate: parts of {other:?}"),
            },
        }
    }

    /// The type, unless it is that of whatever uses it.
    fn ty(&self, value: &Expr) -> Option<Type> {
        match value {
            Expr::Number(_, ty) => ty.clone(),
            Expr::Path(path) => match &path[..] {
                [name] => match (self.variables.get(name), self.source.items.get(name)) {
                    (Some((_, ty)), _) => Some(ty.clone()),
                    (None, Some((Item::Constant(ty, _), _))) => Some(ty.clone()),
                    _ if name == "true" || name == "false" => Some(Type::Bool),
                    _ => unreachable!("translate: no variable {name}"),
                },
                [.., ty, _] | [ty, ..] if ty == "f64" || path.contains(&"f64".into()) => Some(Type::F64),
                _ => Some(Type::F32),
            },
            Expr::Unary("!", _) => Some(Type::Bool),
            Expr::Unary(_, a) => self.ty(a),
            Expr::Binary("==" | "!=" | "<=" | ">=" | "<" | ">" | "&&" | "||", ..) => Some(Type::Bool),
            Expr::Binary("<<" | ">>", a, _) => self.ty(a),
            Expr::Binary(_, a, b) | Expr::If(_, a, b) => self.ty(a).or_else(|| self.ty(b)),
            Expr::Call(path, parts) => match &path[..] {
                [name] => match self.source.items.get(name) {
                    Some((Item::Function(function), _)) => Some(function.result.clone()),
                    _ => unreachable!("translate: no function {name}"),
                },
                [ty, _] => Some(if ty == "f64" { Type::F64 } else { Type::F32 }),
                _ => self.ty(&parts[0]),
            },
            Expr::Method(a, name, parts) => match name.as_str() {
                "to_bits" => Some(if self.ty(a) == Some(Type::F64) { Type::U64 } else { Type::U32 }),
                "is_nan" => Some(Type::Bool),
                "all" => Some(Type::F32),
                _ => self.ty(a).or_else(|| parts.iter().find_map(|part| self.ty(part))),
            },
            Expr::Index(a, _) => match self.ty(a) {
                Some(Type::Array(of, _) | Type::Slice(of, _)) => Some(*of),
                other => unreachable!("translate: an element of {other:?}"),
            },
            Expr::Cast(_, ty) => Some(ty.clone()),
            Expr::Tuple(parts) => {
                parts.iter().map(|part| self.ty(part)).collect::<Option<Vec<_>>>().map(Type::Tuple)
            }
            Expr::List(_) => None,
            Expr::Zeros(of, n) => Some(Type::Array(Box::new(of.clone()), *n)),
        }
    }

    /// A condition in one pair of parentheses: clang warns of two.
    fn condition(&self, value: &Expr) -> String {
        let text = self.value(value, &Type::Bool);
        if matches!(value, Expr::Binary(..)) { text } else { format!("({text})") }
    }

    /// The C of an expression of type `want`.
    fn value(&self, value: &Expr, want: &Type) -> String {
        match value {
            Expr::Number(text, ty) => {
                let ty = ty.as_ref().unwrap_or(want);
                match ty {
                    Type::F32 => format!("{}f", decimal(text)),
                    Type::F64 => decimal(text),
                    Type::U64 => format!("UINT64_C({text})"),
                    Type::U32 => format!("UINT32_C({text})"),
                    _ => text.clone(),
                }
            }
            Expr::Path(path) => match &path[..] {
                [name] => self.variables.get(name).map_or(name, |(own, _)| own).clone(),
                _ => constant(path),
            },
            Expr::Unary(sign, a) => format!("{sign}{}", self.value(a, want)),
            Expr::Binary(sign @ ("&&" | "||"), a, b) => {
                format!("({} {sign} {})", self.value(a, &Type::Bool), self.value(b, &Type::Bool))
            }
            Expr::Binary(sign @ ("<<" | ">>"), a, b) => {
                format!("({} {sign} {})", self.value(a, want), self.value(b, &Type::Usize))
            }
            Expr::Binary(sign, a, b) => {
                let ty = self.ty(a).or_else(|| self.ty(b)).unwrap_or_else(|| want.clone());
                format!("({} {sign} {})", self.value(a, &ty), self.value(b, &ty))
            }
            Expr::If(condition, a, b) => {
                let (condition, a, b) =
                    (self.value(condition, &Type::Bool), self.value(a, want), self.value(b, want));
                format!("({condition} ? {a} : {b})")
            }
            Expr::Cast(a, ty) => {
                let from = self.ty(a).unwrap_or_else(|| ty.clone());
                format!("(({}){})", c_type(ty), self.value(a, &from))
            }
            Expr::Index(a, i) => format!("{}[{}]", self.value(a, &Type::Unit), self.value(i, &Type::Usize)),
            Expr::Tuple(parts) => {
                let Type::Tuple(types) = want else {
                    unreachable!("translate: a tuple where {want:?} is wanted")
                };
                let parts: Vec<String> =
                    parts.iter().zip(types).map(|(part, ty)| self.value(part, ty)).collect();
                format!("{{ {} }}", parts.join(", "))
            }
            Expr::List(parts) => {
                let Type::Array(of, _) = want else {
                    unreachable!("translate: an array where {want:?} is wanted")
                };
                let parts: Vec<String> = parts.iter().map(|part| self.value(part, of)).collect();
                format!("{{ {} }}", parts.join(", "))
            }
            Expr::Zeros(..) => unreachable!("zeros are declared"),
            Expr::Call(path, parts) => self.call(path, parts),
            Expr::Method(a, name, parts) => self.method(a, name, parts, want),
        }
    }

    fn call(&self, path: &[String], parts: &[Expr]) -> String {
        let name = path.last().expect("a path has a name");
        if path.len() == 2 {
            let wide = path[0] == "f64";
            return match name.as_str() {
                "from_bits" if wide => format!("from_bits64({})", self.value(&parts[0], &Type::U64)),
                "from_bits" => format!("from_bits32({})", self.value(&parts[0], &Type::U32)),
                "from" => format!("((double){})", self.value(&parts[0], &Type::F32)),
                _ => unreachable!("translate: no function {path:?}"),
            };
        }
        let Some((Item::Function(function), _)) = self.source.items.get(name) else {
            unreachable!("translate: no function {name}")
        };
        let parts: Vec<String> =
            parts.iter().zip(&function.parameters).map(|(part, (_, ty))| self.value(part, ty)).collect();
        format!("{name}({})", parts.join(", "))
    }

    fn method(&self, a: &Expr, name: &str, parts: &[Expr], want: &Type) -> String {
        let ty = self
            .ty(a)
            .or_else(|| parts.iter().find_map(|part| self.ty(part)))
            .unwrap_or_else(|| want.clone());
        let own = self.value(a, &ty);
        let part = |i: usize| self.value(&parts[i], &ty);
        match name {
            "mul_add" | "fused" => format!("fused{}({own}, {}, {})", bits(&ty), part(0), part(1)),
            "abs" | "copysign" | "to_bits" => {
                let rest = if name == "copysign" { format!(", {}", part(0)) } else { String::new() };
                format!("{name}{}({own}{rest})", bits(&ty))
            }
            "wrapping_add" | "plus" => format!("({own} + {})", part(0)),
            "wrapping_sub" | "minus" => format!("({own} - {})", part(0)),
            "wrapping_mul" | "times" => format!("({own} * {})", part(0)),
            "floor" => format!("floor_f32({own})"),
            "all" => part(0),
            "power" => format!("from_bits32(to_bits32({own}) << 23)"),
            "zero_below" => format!("({} < {} ? 0.0f : {own})", part(0), part(1)),
            "into" => format!("(({}){own})", c_type(want)),
            _ => unreachable!("translate: no method {name}"),
        }
    }
}

/// A number with a point or an exponent, as C wants before a suffix.
fn decimal(text: &str) -> String {
    if text.contains(['.', 'e']) { text.into() } else { format!("{text}.0") }
}

/// A number of the standard library.
fn constant(path: &[String]) -> String {
    let (wide, name) = (path.contains(&"f64".to_string()), path.last().expect("a path has a name").as_str());
    let number = match name {
        "INFINITY" => f64::INFINITY,
        "NEG_INFINITY" => f64::NEG_INFINITY,
        "NAN" => f64::NAN,
        "MIN_POSITIVE" if wide => f64::MIN_POSITIVE,
        "MIN_POSITIVE" => f64::from(f32::MIN_POSITIVE),
        "LOG2_E" => std::f64::consts::LOG2_E,
        "LN_2" => std::f64::consts::LN_2,
        "FRAC_2_SQRT_PI" => std::f64::consts::FRAC_2_SQRT_PI,
        "FRAC_PI_2" => std::f64::consts::FRAC_PI_2,
        _ => unreachable!("translate: no constant {path:?}"),
    };
    if wide { c_number(number, true) } else { c_number(f64::from(number as f32), false) }
}

/// A number in C that has the same bits.
pub(super) fn c_number(number: f64, wide: bool) -> String {
    match (number.is_finite(), wide) {
        (true, true) => format!("{number:?}"),
        (true, false) => format!("{:?}f", number as f32),
        (false, true) => format!("from_bits64(UINT64_C({:#x}))", number.to_bits()),
        (false, false) => format!("from_bits32(UINT32_C({:#x}))", (number as f32).to_bits()),
    }
}

/// What the C of a [`Source`] needs before it.
pub(super) const C_PRELUDE: &str = r#"#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __FAST_MATH__
#error "fast-math changes the results"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "needs float arithmetic in float (on 32-bit x86: -msse2 -mfpmath=sse)"
#endif

#if defined(__GNUC__)
#define UNUSED __attribute__((unused))
#else
#define UNUSED
#endif

/* A product is fused with a sum where the source says so, and nowhere else. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

UNUSED static inline uint32_t to_bits32(float x) {
    union { float number; uint32_t bits; } either;
    either.number = x;
    return either.bits;
}

UNUSED static inline float from_bits32(uint32_t bits) {
    union { float number; uint32_t bits; } either;
    either.bits = bits;
    return either.number;
}

UNUSED static inline uint64_t to_bits64(double x) {
    union { double number; uint64_t bits; } either;
    either.number = x;
    return either.bits;
}

UNUSED static inline double from_bits64(uint64_t bits) {
    union { double number; uint64_t bits; } either;
    either.bits = bits;
    return either.number;
}

UNUSED static inline float abs32(float x) {
    return from_bits32(to_bits32(x) & UINT32_C(0x7fffffff));
}

UNUSED static inline double abs64(double x) {
    return from_bits64(to_bits64(x) & UINT64_C(0x7fffffffffffffff));
}

UNUSED static inline double copysign64(double x, double sign) {
    return from_bits64((to_bits64(x) & UINT64_C(0x7fffffffffffffff)) | (to_bits64(sign) & UINT64_C(0x8000000000000000)));
}

UNUSED static inline float copysign32(float x, float sign) {
    return from_bits32((to_bits32(x) & UINT32_C(0x7fffffff)) | (to_bits32(sign) & UINT32_C(0x80000000)));
}

"#;

/// `fused32` and `fused64`, which the target may have.
pub(super) fn fused(source: &Source) -> String {
    let mut text = String::new();
    for (name, ty, builtin, slow, has) in [
        (
            "fused32",
            "float",
            "__builtin_fmaf",
            "fused_f32",
            "defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)",
        ),
        ("fused64", "double", "__builtin_fma", "fused_f64", "defined(__FP_FAST_FMA) || defined(__FMA__)"),
    ] {
        let own = source.c(&[slow]).replace("static double", "UNUSED static double");
        let call = |function: &str| {
            format!(
                "UNUSED static inline {ty} {name}({ty} a, {ty} b, {ty} c) {{\n    return {function}(a, b, c);\n}}\n"
            )
        };
        text += &format!("#if {has}\n{}#else\n{own}{}#endif\n\n", call(builtin), call(slow));
    }
    text
}
