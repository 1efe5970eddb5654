//! The state dict in a pickle of PyTorch's.

use std::collections::{BTreeMap, HashMap, HashSet};

use candle_core::DType;

use super::super::shape::elements;
use super::pickle::{Id, Object, Pickle};

/// A tensor as a strided view of its storage.
#[derive(Debug)]
pub(super) struct TensorView {
    pub(super) storage: String,
    pub(super) element: ElementType,
    /// The number of elements of the storage.
    pub(super) length: usize,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<usize>,
}

/// The type of the elements of a storage.
#[derive(Clone, Copy, Debug)]
pub(super) enum ElementType {
    Plain(DType),
    Bool,
    I8,
    U16,
}

/// The tensors of the one state dict in a pickle, or of the one under this key.
pub(super) fn state_dict(pickle: &Pickle, key: Option<&str>) -> Result<BTreeMap<String, TensorView>, String> {
    let mut place = pickle.root;
    if let Some(key) = key {
        let entries = entries(pickle, place).unwrap_or_default();
        place = *entries.get(&Some(key)).ok_or_else(|| {
            let got = if entries.is_empty() { pickle.kind(place) } else { keys(entries.keys()) };
            format!("expected a dict with the key {key:?}, got {got}")
        })?;
    }
    let Some(outer) = entries(pickle, place) else { return Err(no_dict(pickle, place)) };
    // One dict may be referred to many times.
    let mut known = HashMap::new();
    let mut has_tensors = |id| {
        *known.entry(id).or_insert_with(|| {
            entries(pickle, id).is_some_and(|entries| entries.values().any(|&value| is_tensor(pickle, value)))
        })
    };
    let inner: Vec<Option<&str>> =
        outer.iter().filter(|&(_, &value)| has_tensors(value)).map(|(&key, _)| key).collect();
    match (has_tensors(place), &inner[..]) {
        (true, []) => tensors(pickle, &outer),
        (false, [only]) => {
            let inside = entries(pickle, outer[only]);
            tensors(pickle, &inside.expect("only a dict has tensors in it"))
        }
        (false, []) if outer.is_empty() => Ok(BTreeMap::new()),
        (false, []) => {
            Err(format!("expected a state dict, got a dict without tensors: {}", keys(outer.keys())))
        }
        (true, some) => {
            let some = keys(some.iter());
            Err(format!(
                "expected one state dict, got a dict with tensors and with dicts of tensors: {some} (choose one with LoadOptions::key)"
            ))
        }
        (false, some) => Err(format!(
            "expected one state dict, got several: {} (choose one with LoadOptions::key)",
            keys(some.iter())
        )),
    }
}

/// The entries of a dict; the key is `None` if it is no string. As in Python, the last of equal keys counts.
fn entries(pickle: &Pickle, id: Id) -> Option<BTreeMap<Option<&str>, Id>> {
    let Object::Dict(entries) = pickle.object(id) else { return None };
    let text = |id| match pickle.object(id) {
        Object::Text(text) => Some(text.as_str()),
        _ => None,
    };
    Some(entries.iter().map(|&(key, value)| (text(key), value)).collect())
}

/// The first keys, for a message.
fn keys<'a>(keys: impl Iterator<Item = &'a Option<&'a str>>) -> String {
    let shown = |key: &Option<&str>| match key {
        Some(key) => format!("{:?}", key.chars().take(60).collect::<String>()),
        None => "a key that is no text".into(),
    };
    let keys: Vec<String> = keys.map(shown).collect();
    let more = if keys.len() > 10 { format!(" and {} more", keys.len() - 10) } else { String::new() };
    keys.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ") + &more
}

fn no_dict(pickle: &Pickle, id: Id) -> String {
    let (got, instead) = match pickle.object(id) {
        _ if is_tensor(pickle, id) => ("a tensor".into(), "a dict of tensors, {\"name\": tensor}"),
        Object::Call { .. } => (pickle.kind(id), "model.state_dict(), not the model"),
        _ => (pickle.kind(id), "model.state_dict()"),
    };
    format!("expected a state dict, got {got}: save {instead}")
}

fn function(pickle: &Pickle, id: Id) -> Option<&str> {
    let Object::Call { name, .. } = pickle.object(id) else { return None };
    let Object::Name(name) = pickle.object(*name) else { return None };
    Some(name)
}

fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    function(pickle, id).is_some_and(|name| {
        ["torch._utils._rebuild", "torch._tensor._rebuild"].iter().any(|f| name.starts_with(f))
    })
}

fn tensors(
    pickle: &Pickle,
    entries: &BTreeMap<Option<&str>, Id>,
) -> Result<BTreeMap<String, TensorView>, String> {
    let mut views = BTreeMap::new();
    let mut seen = HashSet::new();
    for (key, &id) in entries {
        let name = key.unwrap_or("the entry whose key is no text");
        if is_tensor(pickle, id) {
            if key.is_none() {
                return Err("expected a text as the name of each tensor, got another key".into());
            }
            let view = view(pickle, id).map_err(|message| format!("{name}: {message}"))?;
            views.insert(name.to_string(), view);
        } else if reaches_tensor(pickle, id, &mut seen) {
            let got = pickle.kind(id);
            return Err(format!(
                "{name}: expected a tensor, or something without tensors, got {got} with tensors"
            ));
        }
    }
    Ok(views)
}

/// Whether there is a tensor in an object, however deep.
fn reaches_tensor(pickle: &Pickle, id: Id, seen: &mut HashSet<Id>) -> bool {
    let mut waiting = vec![id];
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        if is_tensor(pickle, id) || matches!(pickle.object(id), Object::Elsewhere(_)) {
            return true;
        }
        waiting.extend(pickle.children(id));
    }
    false
}

const ODD: &str = "expected a tensor as torch.save writes it, got other arguments";

/// The tensor that a call of one of PyTorch's functions makes.
fn view(pickle: &Pickle, mut id: Id) -> Result<TensorView, String> {
    loop {
        let Object::Call { arguments, more, .. } = pickle.object(id) else { return Err(ODD.into()) };
        if !more.is_empty() {
            return Err("expected a plain tensor, got one with a state of its own".into());
        }
        let function = function(pickle, id).ok_or(ODD)?;
        let arguments = pickle.members(*arguments).ok_or(ODD)?;
        match (function, arguments) {
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                [inner, ..],
            ) => {
                id = *inner;
            }
            // A subclass of Tensor: the function, the class, its arguments, and its attributes.
            ("torch._tensor._rebuild_from_type_v2", [inner, _, arguments, ..]) => {
                let Object::Name(inner) = pickle.object(*inner) else { return Err(ODD.into()) };
                return plain(pickle, inner, pickle.members(*arguments).ok_or(ODD)?);
            }
            _ => return plain(pickle, function, arguments),
        }
    }
}

fn plain(pickle: &Pickle, function: &str, arguments: &[Id]) -> Result<TensorView, String> {
    let (&[storage, offset, shape, stride, ref rest @ ..], dtype) = (match function {
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => (arguments, None),
        // A storage of bytes; the dtype comes before the metadata.
        "torch._utils._rebuild_tensor_v3" => (arguments, Some(arguments.get(6).copied().ok_or(ODD)?)),
        other => {
            return Err(format!(
                "expected a tensor of plain numbers, got what {other} makes (sparse, quantized, on no device, …): \
                 save a dense one"
            ));
        }
    }) else {
        return Err(ODD.into());
    };
    let metadata = rest.get(if dtype.is_some() { 3 } else { 2 });
    if metadata.is_some_and(|&metadata| !pickle.children(metadata).is_empty()) {
        return Err(
            "expected a tensor of plain numbers, got one that is negated or conjugated when it is read: \
                    save x.resolve_neg().resolve_conj()"
                .into(),
        );
    }
    let Object::Elsewhere(storage) = pickle.object(storage) else { return Err(ODD.into()) };
    let Some(&[word, class, key, _, length, ..]) = pickle.members(*storage) else { return Err(ODD.into()) };
    let (Object::Text(word), Object::Name(class), Object::Text(key)) =
        (pickle.object(word), pickle.object(class), pickle.object(key))
    else {
        return Err(ODD.into());
    };
    let size = |id: Id| match pickle.object(id) {
        Object::Int(size) => {
            usize::try_from(*size).map_err(|_| format!("expected sizes from 0 up, got {size}"))
        }
        _ => Err(ODD.into()),
    };
    let sizes = |id: Id| -> Result<Vec<usize>, String> {
        pickle.members(id).ok_or(ODD)?.iter().map(|&id| size(id)).collect()
    };
    let mut length = size(length)?;
    let element = match dtype {
        None => element_type(class)?,
        Some(dtype) => {
            let element = match pickle.object(dtype) {
                Object::Name(name) if class == "torch.storage.UntypedStorage" => untyped(name)?,
                _ => return Err(ODD.into()),
            };
            // This storage counts bytes.
            length /= if let ElementType::U16 = element { 2 } else { 4 };
            element
        }
    };
    let view = TensorView {
        storage: key.clone(),
        element,
        length,
        offset: size(offset)?,
        shape: sizes(shape)?,
        stride: sizes(stride)?,
    };
    if word != "storage" || view.shape.len() != view.stride.len() {
        return Err(ODD.into());
    }
    Ok(view)
}

const CONVERT: &str =
    "floats of 16 to 64 bits, integers or booleans (convert it with .to(dtype) before it is saved)";

fn element_type(class: &str) -> Result<ElementType, String> {
    Ok(match class {
        "torch.FloatStorage" => ElementType::Plain(DType::F32),
        "torch.DoubleStorage" => ElementType::Plain(DType::F64),
        "torch.HalfStorage" => ElementType::Plain(DType::F16),
        "torch.BFloat16Storage" => ElementType::Plain(DType::BF16),
        "torch.LongStorage" => ElementType::Plain(DType::I64),
        "torch.IntStorage" => ElementType::Plain(DType::I32),
        "torch.ShortStorage" => ElementType::Plain(DType::I16),
        "torch.ByteStorage" => ElementType::Plain(DType::U8),
        "torch.CharStorage" => ElementType::I8,
        "torch.BoolStorage" => ElementType::Bool,
        other => return Err(format!("expected {CONVERT}, got {other}")),
    })
}

/// The dtypes without a storage class.
fn untyped(dtype: &str) -> Result<ElementType, String> {
    match dtype {
        "torch.uint16" => Ok(ElementType::U16),
        "torch.uint32" => Ok(ElementType::Plain(DType::U32)),
        other => Err(format!("expected {CONVERT}, got {other}")),
    }
}

impl TensorView {
    /// Its elements in row-major order, out of the bytes of its storage.
    pub(super) fn gather(&self, storage: &[u8]) -> Result<Vec<u8>, String> {
        let TensorView { offset, shape, stride, length, .. } = self;
        let width = self.element.width();
        let outside = || {
            format!(
                "expected a view inside its storage of {length} numbers, got shape {shape:?}, stride {stride:?}, offset {offset}"
            )
        };
        let count = elements(shape).ok_or_else(outside)?;
        if count == 0 {
            return Ok(vec![]);
        }
        let last = shape
            .iter()
            .zip(stride)
            .try_fold(*offset, |at, (&n, &step)| at.checked_add((n - 1).checked_mul(step)?));
        if last.is_none_or(|last| last >= *length) {
            return Err(outside());
        }
        // The innermost axes that are contiguous are copied in one piece.
        let (mut piece, mut axes) = (1, shape.len());
        while axes > 0 && (shape[axes - 1] == 1 || stride[axes - 1] == piece) {
            axes -= 1;
            piece *= shape[axes];
        }
        let mut bytes = Vec::with_capacity(count * width);
        let mut index = vec![0; axes];
        let mut at = *offset;
        loop {
            bytes.extend_from_slice(storage.get(at * width..(at + piece) * width).ok_or_else(outside)?);
            // Increments the index like an odometer.
            let Some(axis) = (0..axes).rev().find(|&axis| index[axis] + 1 < shape[axis]) else { break };
            index[axis] += 1;
            at += stride[axis];
            for inner in axis + 1..axes {
                at -= index[inner] * stride[inner];
                index[inner] = 0;
            }
        }
        Ok(bytes)
    }
}
