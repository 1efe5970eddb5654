//! The state dict in a pickle of PyTorch's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use candle_core::DType;

use super::super::element::{ElementType, no_dtype};
use super::super::load::first_ten;
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

/// The tensors of a dict: each as a view, or what is wrong with it.
pub(super) type Views = BTreeMap<String, Result<TensorView, String>>;

/// The tensors of the one state dict in a pickle, or of the one at this path.
pub(super) fn state_dict(pickle: &Pickle, key: Option<&str>) -> Result<Views, String> {
    let place = match key {
        None => pickle.root,
        Some(key) => find(pickle, pickle.root, key).ok_or_else(|| {
            let got = shown(members(pickle, pickle.root).keys().map(|name| name.as_ref()));
            let got = if got.is_empty() { pickle.kind(pickle.root) } else { got };
            format!("expected a dict with the key {key:?}, got {got}")
        })?,
    };
    let direct = |id| members(pickle, id).values().any(|&id| is_tensor(pickle, id));
    match (pickle.object(place), key) {
        // A dict that was chosen by its path is the one, whatever else is in it.
        (Object::Dict(_), Some(_)) if direct(place) => Ok(tensors(pickle, place)),
        (Object::Dict(entries), _) if entries.is_empty() => Ok(Views::new()),
        _ => only_state_dict(pickle, place, key.filter(|key| !key.is_empty())),
    }
}

/// The tensors of the one state dict in an object, whose own path is `start`.
pub(super) fn only_state_dict(pickle: &Pickle, place: Id, start: Option<&str>) -> Result<Views, String> {
    let all = members(pickle, place);
    let (nodes, found) = candidates(pickle, place);
    match found[..] {
        [only] => Ok(tensors(pickle, nodes[only].id)),
        [] if !matches!(pickle.object(place), Object::Dict(_)) => Err(no_dict(pickle, place)),
        [] => {
            let mut seen = HashSet::new();
            let holder = all.iter().find(|&(_, &id)| reaches_tensor(pickle, id, &mut seen));
            let names = shown(all.keys().map(|name| name.as_ref()));
            Err(match holder {
                Some((name, id)) => format!(
                    "expected a state dict, got {} whose tensors are in other objects ({name:?} is {}): save model.state_dict()",
                    pickle.kind(place),
                    pickle.kind(*id)
                ),
                None => format!("expected a state dict, got {} without tensors: {names}", pickle.kind(place)),
            })
        }
        ref several => {
            let paths: Vec<String> = several.iter().take(11).map(|&node| path(&nodes, node, start)).collect();
            let more = if several.len() > 10 { format!(" of {}", several.len()) } else { String::new() };
            Err(format!(
                "expected one state dict, got several: {}{more} (choose one with LoadOptions::state_dict_key)",
                shown(paths.iter().map(String::as_str))
            ))
        }
    }
}

/// An object in dicts and lists: where it was found, and under which name.
struct Node<'a> {
    parent: usize,
    depth: usize,
    name: Cow<'a, str>,
    id: Id,
}

/// Deeper dicts are not looked at.
const MAX_DEPTH: usize = 16;

/// The objects in a dict or a list, by name. Keys that are no texts have none: an optimizer's state has numbers. As in Python, the last
/// of equal keys counts.
fn members(pickle: &Pickle, id: Id) -> BTreeMap<Cow<'_, str>, Id> {
    match pickle.object(id) {
        Object::Dict(entries) => {
            let text = |&(key, value): &(Id, Id)| match pickle.object(key) {
                Object::Text(text) => Some((Cow::from(text), value)),
                _ => None,
            };
            entries.iter().filter_map(text).collect()
        }
        Object::List(items) | Object::Tuple(items) => {
            items.iter().enumerate().map(|(i, &id)| (Cow::from(i.to_string()), id)).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// The object at a path like `encoder.l1`; the names themselves may have dots.
pub(super) fn find(pickle: &Pickle, id: Id, path: &str) -> Option<Id> {
    if path.is_empty() {
        return Some(id);
    }
    let members = members(pickle, id);
    members.get(path).copied().or_else(|| {
        path.match_indices('.').find_map(|(at, _)| find(pickle, *members.get(&path[..at])?, &path[at + 1..]))
    })
}

fn path(nodes: &[Node], mut node: usize, start: Option<&str>) -> String {
    let mut names = Vec::new();
    while node > 0 {
        names.push(&*nodes[node].name);
        node = nodes[node].parent;
    }
    names.extend(start);
    names.reverse();
    names.join(".")
}

/// The dicts that may be the state dict, as indices of nodes.
///
/// One that holds a module's state dict (it has `_metadata`) is a checkpoint around it, whatever tensors lie beside; and dicts of nothing
/// but bytes and single numbers (random states, losses) count only if there is no other.
fn candidates(pickle: &Pickle, place: Id) -> (Vec<Node<'_>>, Vec<usize>) {
    let mut nodes = vec![Node { parent: 0, depth: 0, name: "".into(), id: place }];
    let mut seen = HashSet::from([place]);
    let (mut found, mut minor, mut around) = (Vec::new(), Vec::new(), HashSet::new());
    let mut at = 0;
    while at < nodes.len() {
        let Node { id, depth, .. } = nodes[at];
        let members = members(pickle, id);
        let dict = matches!(pickle.object(id), Object::Dict(_));
        let mut tensors = members.values().filter(|&&id| dict && is_tensor(pickle, id)).peekable();
        if tensors.peek().is_some() {
            let is_minor = |&id: &Id| {
                view(pickle, id).is_ok_and(|view| {
                    view.element.dtype() == DType::U8 || elements(&view.shape).is_some_and(|count| count <= 1)
                })
            };
            if tensors.all(is_minor) {
                minor.push(at)
            } else {
                found.push(at)
            }
            if pickle.with_attributes.contains(&id) {
                let mut outer = at;
                while outer > 0 {
                    outer = nodes[outer].parent;
                    around.insert(outer);
                }
                at += 1;
                continue;
            }
        }
        for (name, id) in members {
            let container = matches!(pickle.object(id), Object::Dict(_) | Object::List(_) | Object::Tuple(_));
            // What a module saves beside its tensors.
            let extra = name.ends_with("_extra_state");
            if container && !extra && depth < MAX_DEPTH && seen.insert(id) {
                nodes.push(Node { parent: at, depth: depth + 1, name, id });
            }
        }
        at += 1;
    }
    let found = if found.is_empty() { minor } else { found };
    (nodes, found.into_iter().filter(|node| !around.contains(node)).collect())
}

/// The first names, for a message.
fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> =
        names.map(|name| format!("{:?}", name.chars().take(60).collect::<String>())).collect();
    first_ten(&names)
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

/// The tensors of a dict. Entries without tensors are left out.
fn tensors(pickle: &Pickle, dict: Id) -> Views {
    let Object::Dict(entries) = pickle.object(dict) else { return Views::new() };
    let mut views = Views::new();
    let mut seen = HashSet::new();
    for &(key, id) in entries {
        let (name, text) = match pickle.object(key) {
            Object::Text(text) => (text.clone(), true),
            Object::Int(number) => (number.to_string(), false),
            _ => (pickle.kind(key), false),
        };
        if is_tensor(pickle, id) {
            let no_text = || format!("expected a text as its name, got {}", pickle.kind(key));
            views.insert(name, if text { view(pickle, id) } else { Err(no_text()) });
        } else if reaches_tensor(pickle, id, &mut seen) {
            views.insert(name, Err(format!("expected a tensor, got {} with tensors", pickle.kind(id))));
        }
    }
    views
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
                Object::Name(name) if class == "torch.storage.UntypedStorage" => element_type(name)?,
                _ => return Err(ODD.into()),
            };
            // This storage counts bytes.
            length /= element.width();
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
        // The dtypes without a storage class.
        "torch.uint16" => ElementType::U16,
        "torch.uint32" => ElementType::Plain(DType::U32),
        "torch.uint64" => ElementType::U64,
        "torch.float8_e4m3fn" => ElementType::Plain(DType::F8E4M3),
        "torch.float8_e5m2" => ElementType::F8E5M2,
        other => return Err(no_dtype(other)),
    })
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
