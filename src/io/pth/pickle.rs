//! Python's pickles, read as data: nothing in them is run.
//!
//! candle's reader copies an object that is referred to twice as it was at the first time, so that a dict that is filled later comes back
//! empty; it panics on long integers, and allocates what a string claims to need. Here objects are in one list and refer to each
//! other by index: nothing is copied, and nothing is recursive. Python's `pickletools` documents the operations.

use std::collections::{HashMap, HashSet};

/// The index of an object in [`Pickle::objects`].
pub(super) type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i64),
    /// A float, or an integer beyond i64.
    Number,
    Text(String),
    Bytes,
    Tuple(Vec<Id>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module.name`: a class or a function.
    Name(String),
    /// A call of a class or a function.
    Call {
        name: Id,
        arguments: Id,
        /// State and items that were added to the result.
        more: Vec<Id>,
    },
    /// A persistent id: an object elsewhere in the file.
    Elsewhere(Id),
}

/// The objects of a pickle.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// The height of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    /// The dicts that have attributes: a module's state dict has `_metadata`.
    pub(super) with_attributes: HashSet<Id>,
    pub(super) root: Id,
}

/// The bytes that are not read yet.
struct Bytes<'a>(&'a [u8]);

/// The longest name of a class.
const MAX_NAME: usize = 1000;

const CUT: &str = "a pickle that is cut off";
const WRONG: &str = "a pickle whose operations do not fit together";

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned little-endian number.
    fn number(&mut self, bytes: usize) -> Result<usize, String> {
        let number = self.take(bytes)?.iter().rev().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
        usize::try_from(number).map_err(|_| CUT.into())
    }

    /// Bytes that follow their length.
    fn counted(&mut self, bytes_of_length: usize) -> Result<&'a [u8], String> {
        let count = self.number(bytes_of_length)?;
        self.take(count)
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.0.iter().position(|&byte| byte == b'\n').ok_or(CUT)?;
        let line = text(self.take(end)?)?;
        self.take(1)?;
        Ok(line)
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a pickle with a text that is not UTF-8".into())
}

/// A signed little-endian integer; [`Object::Number`] if it has more than 64 bits.
pub(super) fn integer(bytes: &[u8]) -> Object {
    if bytes.len() > 8 {
        return Object::Number;
    }
    let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut word = [fill; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Object::Int(i64::from_le_bytes(word))
}

impl Pickle {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut pickle = Pickle::default();
        let mut bytes = Bytes(bytes);
        while pickle.step(&mut bytes)? {}
        pickle.root = pickle.pop()?;
        Ok(pickle)
    }

    pub(super) fn object(&self, id: Id) -> &Object {
        self.objects.get(id).expect("an id is the index of an object")
    }

    /// The members of a tuple or a list.
    pub(super) fn members(&self, id: Id) -> Option<&[Id]> {
        match self.object(id) {
            Object::Tuple(members) | Object::List(members) => Some(members),
            _ => None,
        }
    }

    /// The objects that an object refers to.
    pub(super) fn children(&self, id: Id) -> Vec<Id> {
        match self.object(id) {
            Object::Tuple(members) | Object::List(members) => members.clone(),
            Object::Dict(entries) => entries.iter().flat_map(|&(key, value)| [key, value]).collect(),
            Object::Call { name, arguments, more } => [&[*name, *arguments], &more[..]].concat(),
            Object::Elsewhere(id) => vec![*id],
            _ => vec![],
        }
    }

    /// What the object is, in words for an error message.
    pub(super) fn kind(&self, id: Id) -> String {
        let word = match self.object(id) {
            Object::None => "None",
            Object::Bool(_) => "a boolean",
            Object::Int(_) | Object::Number => "a number",
            Object::Text(_) => "a text",
            Object::Bytes => "bytes",
            Object::Tuple(_) => "a tuple",
            Object::List(_) => "a list",
            Object::Dict(_) => "a dict",
            Object::Name(name) => return name.clone(),
            Object::Call { name, .. } => match self.object(*name) {
                Object::Name(name) => return format!("an object of {name}"),
                _ => "an object",
            },
            Object::Elsewhere(_) => "a storage",
        };
        word.into()
    }

    /// Whether the object is the class or function of this name.
    pub(super) fn is(&self, id: Id, name: &str) -> bool {
        matches!(self.object(id), Object::Name(own) if own == name)
    }

    fn push(&mut self, object: Object) {
        self.stack.push(self.objects.len());
        self.objects.push(object);
    }

    fn pop(&mut self) -> Result<Id, String> {
        // Objects below a mark cannot be taken before the mark.
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(WRONG.into());
        }
        self.stack.pop().ok_or_else(|| WRONG.into())
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| WRONG.into())
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or(WRONG)?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let mut members = (0..count).map(|_| self.pop()).collect::<Result<Vec<Id>, _>>()?;
        members.reverse();
        self.push(Object::Tuple(members));
        Ok(())
    }

    fn remember(&mut self, key: usize) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Result<(), String> {
        let id = *self.memo.get(&key).ok_or(WRONG)?;
        self.stack.push(id);
        Ok(())
    }

    fn extend(&mut self, more: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        match self.objects.get_mut(top) {
            Some(Object::List(members)) => members.extend(more),
            // An object of a class that is filled like a list.
            Some(Object::Call { more: own, .. }) => own.extend(more),
            _ => return Err(WRONG.into()),
        }
        Ok(())
    }

    fn set(&mut self, more: &[Id]) -> Result<(), String> {
        let (pairs, []) = more.as_chunks::<2>() else { return Err(WRONG.into()) };
        let top = self.top()?;
        match self.objects.get_mut(top) {
            Some(Object::Dict(entries)) => entries.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Some(Object::Call { more: own, .. }) => own.extend(more),
            _ => return Err(WRONG.into()),
        }
        Ok(())
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, name) = (self.pop()?, self.pop()?);
        let count = self.members(arguments).map_or(0, <[Id]>::len);
        let dict = (count == 0 && self.is(name, "collections.OrderedDict"))
            || (count <= 1 && self.is(name, "collections.defaultdict"));
        self.push(if dict { Object::Dict(vec![]) } else { Object::Call { name, arguments, more: vec![] } });
        Ok(())
    }

    /// Runs one operation, and returns whether there is another.
    fn step(&mut self, bytes: &mut Bytes<'_>) -> Result<bool, String> {
        let operation = bytes.number(1)? as u8;
        match operation {
            b'.' => return Ok(false),
            // The protocol, and the length of a frame, which is not needed.
            0x80 => drop(bytes.take(1)?),
            0x95 => drop(bytes.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => match self.marks.last() == Some(&self.stack.len()) {
                true => drop(self.marks.pop()),
                false => drop(self.pop()?),
            },
            b'1' => drop(self.since_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'N' => self.push(Object::None),
            0x88 => self.push(Object::Bool(true)),
            0x89 => self.push(Object::Bool(false)),
            b'K' => self.push(Object::Int(bytes.number(1)? as i64)),
            b'M' => self.push(Object::Int(bytes.number(2)? as i64)),
            b'J' => self.push(integer(bytes.take(4)?)),
            0x8a => self.push(integer(bytes.counted(1)?)),
            0x8b => self.push(integer(bytes.counted(4)?)),
            b'G' => {
                bytes.take(8)?;
                self.push(Object::Number);
            }
            b'X' => self.push(Object::Text(text(bytes.counted(4)?)?)),
            0x8c => self.push(Object::Text(text(bytes.counted(1)?)?)),
            0x8d => self.push(Object::Text(text(bytes.counted(8)?)?)),
            // Texts of Python 2, and bytes.
            b'U' => self.push(Object::Text(text(bytes.counted(1)?)?)),
            b'T' => self.push(Object::Text(text(bytes.counted(4)?)?)),
            b'C' | b'B' | 0x8e | 0x96 => {
                bytes.counted(match operation {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                self.push(Object::Bytes);
            }
            b')' => self.push(Object::Tuple(vec![])),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let members = self.since_mark()?;
                self.push(Object::Tuple(members));
            }
            b']' | 0x8f => self.push(Object::List(vec![])),
            b'l' | 0x91 => {
                let members = self.since_mark()?;
                self.push(Object::List(members));
            }
            b'a' => {
                let member = self.pop()?;
                self.extend(vec![member])?;
            }
            b'e' | 0x90 => {
                let members = self.since_mark()?;
                self.extend(members)?;
            }
            b'}' => self.push(Object::Dict(vec![])),
            b'd' => {
                let entries = self.since_mark()?;
                self.push(Object::Dict(vec![]));
                self.set(&entries)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let entries = self.since_mark()?;
                self.set(&entries)?;
            }
            b'c' => {
                let name = [bytes.line()?, bytes.line()?].join(".");
                if name.len() > MAX_NAME {
                    return Err(WRONG.into());
                }
                self.push(Object::Name(name));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Object::Text(module), Object::Text(name)) = (self.object(module), self.object(name))
                else {
                    return Err(WRONG.into());
                };
                // A long string could be referred to again and again.
                if module.len() + name.len() > MAX_NAME {
                    return Err(WRONG.into());
                }
                let name = format!("{module}.{name}");
                self.push(Object::Name(name));
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?;
                self.call()?;
            }
            b'b' => {
                let state = self.pop()?;
                let top = self.top()?;
                match self.objects.get_mut(top) {
                    Some(Object::Call { more, .. }) => more.push(state),
                    Some(Object::Dict(_)) => drop(self.with_attributes.insert(top)),
                    _ => {}
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Elsewhere(id));
            }
            b'q' => self.remember(bytes.number(1)?)?,
            b'r' => self.remember(bytes.number(4)?)?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.recall(bytes.number(1)?)?,
            b'j' => self.recall(bytes.number(4)?)?,
            b'F' | b'I' | b'L' | b'P' | b'S' | b'V' | b'g' | b'i' | b'o' | b'p' => {
                return Err("a pickle of protocol 0 or 1: write it with protocol 2 or later".into());
            }
            other => {
                return Err(format!(
                    "a pickle with an operation {other:#04x}, which is not of protocol 2 to 5"
                ));
            }
        }
        Ok(true)
    }
}
