use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::pickle::integer;
use super::state::{find, only_state_dict};
use super::*;
use crate::io::{LoadOptions, load, read};
use crate::prelude::*;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/fixtures").join(name)
}

fn read_all(name: &str) -> Result<TensorFile> {
    read_pth(fixture(name), &Device::Cpu)
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().reshape(x.elem_count()).unwrap().to_vec1().unwrap()
}

/// What tests/interop/fixtures.py wrote.
#[test]
fn every_dtype() -> Result<()> {
    let tensors = read_all("tensors.pth")?;
    for (name, dtype, start) in [
        ("float64", DType::F64, -2.0),
        ("float32", DType::F32, -2.0),
        ("float16", DType::F16, -2.0),
        ("bfloat16", DType::BF16, -2.0),
        ("int64", DType::I64, -2.0),
        ("int32", DType::I32, -2.0),
        ("int16", DType::I16, -2.0),
        ("int8", DType::I64, -2.0),
        ("uint8", DType::U8, 0.0),
        ("uint16", DType::U32, 0.0),
        ("uint32", DType::U32, 0.0),
    ] {
        let x = &tensors[&format!("dtype.{name}")];
        assert_eq!((x.dtype(), x.dims()), (dtype, &[2, 3][..]), "{name}");
        assert_eq!(numbers(x), (0..6).map(|i| f64::from(i) + start).collect::<Vec<_>>(), "{name}");
    }
    let bits = &tensors["dtype.bool"];
    assert_eq!(bits.to_vec2::<u8>()?, [[0, 1, 1], [1, 1, 1]]);
    let [nan, inf, minus, zero] = tensors["special"].to_vec1::<f32>()?[..] else { panic!() };
    assert!(nan.is_nan() && inf == f32::INFINITY && minus == f32::NEG_INFINITY);
    assert_eq!(zero.to_bits(), (-0.0_f32).to_bits());
    Ok(())
}

#[test]
fn every_view() -> Result<()> {
    let tensors = read_all("tensors.pth")?;
    let x = Tensor::arange(0.0, 24.0, &Device::Cpu)?.to_dtype(DType::F32)?.reshape((2, 3, 4))?;
    let steps = Tensor::new(&[0_i64, 2], &Device::Cpu)?;
    for (name, expected) in [
        ("view.whole", x.clone()),
        ("view.turned", x.transpose(0, 2)?),
        ("view.permuted", x.transpose(0, 1)?),
        ("view.steps", x.narrow(1, 1, 2)?.index_select(2, &steps)?),
        ("view.offset", x.i(1)?),
        ("view.scalar", x.i((1, 2, 3))?),
        ("view.expanded", x.i((0, 1))?.broadcast_to((2, 4))?),
        ("view.empty", Tensor::zeros((0, 3, 4), DType::F32, &Device::Cpu)?),
        ("view.nothing", Tensor::zeros(0, DType::F32, &Device::Cpu)?),
        ("parameter", x.i(1)?),
        ("parameter.attributed", x.i(1)?),
        ("buffer", x.i(0)?),
        ("scalar", Tensor::new(2.5, &Device::Cpu)?),
    ] {
        assert_eq!(tensors[name], expected, "{name}");
        assert!(tensors[name].array().is_contiguous(), "{name}");
    }
    // Twelve dtypes, these thirteen, and the special ones; the numbers and texts beside them are no tensors.
    assert_eq!(tensors.len(), 26);
    assert_eq!(read_all("protocol4.pth")?["w"], x.i(1)?);
    assert_eq!(read_all("protocol4.pth")?.len(), 1);
    Ok(())
}

#[test]
fn where_the_state_dict_is() -> Result<()> {
    let at = |key: &str| LoadOptions::new().state_dict_key(key).read(fixture("faults.pth"), &Device::Cpu);
    let weight = Tensor::new(&[[0.0_f32, 1.0], [4.0, 5.0]], &Device::Cpu)?;
    // What is named twice in a pickle is whole both times, and one state dict.
    for key in ["one", "again", "several"] {
        let tensors = at(key)?;
        assert_eq!((tensors.len(), &tensors["weight"]), (1, &weight), "{key}");
    }
    assert!(at("nothing")?.is_empty());
    for (key, message) in [
        ("no tensors", "expected a state dict, got a dict without tensors: \"epoch\", \"rate\""),
        ("a tensor", "expected a state dict, got a tensor: save a dict of tensors"),
        ("a number", "expected a state dict, got a number: save model.state_dict()"),
        (
            "a model",
            "got an object of torch.nn.modules.linear.Linear: save model.state_dict(), not the model",
        ),
        ("tensors in a list", "expected a state dict, got a list: save model.state_dict()"),
        ("one.none", "expected a dict with the key \"one.none\", got \"a model\", \"a number\""),
        ("none", "expected a dict with the key \"none\", got \"a model\", \"a number\""),
    ] {
        let text = at(key).unwrap_err().to_string();
        assert!(text.contains("faults.pth: ") && text.contains(message), "{key}: {text}");
    }
    Ok(())
}

/// What tests/interop/fixtures.py wrote as `containers.pth`.
#[test]
fn containers() -> Result<()> {
    let at = |key: &str| LoadOptions::new().state_dict_key(key).read(fixture("containers.pth"), &Device::Cpu);
    for key in ["deep", "nets.nets.encoder.l1", "nets.nets.encoder.l.2", "in a list.nets.1"] {
        assert!(at(key)?.keys().eq(["0.bias", "0.weight"]), "{key}");
    }
    let bytes = std::fs::read(fixture("containers.pth")).unwrap();
    let pickle = Pickle::read(&Archive::open(&bytes).unwrap().record("data.pkl").unwrap()).unwrap();
    let only = |key: &str| {
        only_state_dict(&pickle, find(&pickle, pickle.root, key).unwrap(), None)
            .map(|views| views.into_keys().collect::<Vec<_>>())
    };
    for key in ["beside", "plain beside", "deep"] {
        assert_eq!(only(key).unwrap(), ["0.bias", "0.weight"], "{key}");
    }
    // Without `_metadata` nothing tells a model from the tensors around it.
    let message = only("plain").unwrap_err();
    assert!(message.starts_with(r#"expected one state dict, got several: "", "net" (choose"#), "{message}");
    assert!(at("only rng")?.keys().eq(["rng"]));
    assert!(at("optimizer").is_err());
    let extra = at("extra")?;
    assert!(extra.keys().eq(["w"]));
    assert_eq!(extra.unreadable["_extra_state"], "expected a tensor, got a dict with tensors");
    // Chosen by its path, a dict is taken although there are others in it.
    let mixed = LoadOptions::new().state_dict_key("mixed").read(fixture("faults.pth"), &Device::Cpu)?;
    assert!(mixed.keys().eq(["w"]) && mixed.unreadable.contains_key("model"));
    for (key, message) in [
        (
            "nets",
            r#"got several: "nets.nets.decoder", "nets.nets.encoder.l.2", "nets.nets.encoder.l1" (choose"#,
        ),
        ("nets.nets.encoder", r#"got several: "nets.nets.encoder.l.2", "nets.nets.encoder.l1" (choose"#),
        ("in a list", r#"got several: "in a list.nets.0", "in a list.nets.1" (choose"#),
        ("a model", "(\"model\" is an object of torch.nn.modules.linear.Linear): save model.state_dict()"),
    ] {
        let text = at(key).unwrap_err().to_string();
        assert!(text.contains(message), "{key}: {text}");
    }
    Ok(())
}

#[test]
fn weights_of_other_tensors() -> Result<()> {
    let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    for (key, advice) in [
        ("weight_norm", "call torch.nn.utils.parametrize.remove_parametrizations before saving"),
        (
            "weight_g",
            "weight_norm computes these weights: call torch.nn.utils.remove_weight_norm before saving",
        ),
    ] {
        let load = LoadOptions::new().state_dict_key(key);
        let text = load.load(fixture("containers.pth"), &model).unwrap_err().to_string();
        assert!(text.ends_with(advice), "{text}");
    }
    Ok(())
}

/// 8-bit floats against what torch 2.15 makes of them in f64; large integers.
#[test]
fn numbers_of_other_dtypes() -> Result<()> {
    let found = LoadOptions::new().state_dict_key("numbers").read(fixture("containers.pth"), &Device::Cpu)?;
    assert_eq!(found["uint64"].to_vec1::<i64>()?, [0, i64::MAX]);
    assert_eq!((found["e4m3fn"].dtype(), found["e5m2"].dtype()), (DType::F8E4M3, DType::F32));
    // x[[1, 8, 126, 127, 129, 254]].double() in PyTorch.
    let some = |name: &str| -> Vec<f64> {
        let all = numbers(&found[name]);
        [1, 8, 126, 127, 129, 254].map(|i| all[i]).into()
    };
    let [a, b, c, nan, d, e] = some("e4m3fn")[..] else { panic!() };
    assert_eq!([a, b, c, d, e], [0.001953125, 0.015625, 448.0, -0.001953125, -448.0]);
    assert!(nan.is_nan());
    let [a, b, nan, also, c, too] = some("e5m2")[..] else { panic!() };
    assert_eq!([a, b, c], [1.52587890625e-05, 0.0001220703125, -1.52587890625e-05]);
    assert!(nan.is_nan() && also.is_nan() && too.is_nan());
    assert_eq!(numbers(&found["e5m2"])[123..125], [57344.0, f64::INFINITY]);
    assert_eq!(found.unreadable.keys().collect::<Vec<_>>(), ["complex", "e8m0fnu", "uint64.large"]);
    assert_eq!(found.unreadable["uint64.large"], "expected numbers below 2^63, got 9223372036854775808 at 1");
    Ok(())
}

#[test]
fn unsupported_tensors() -> Result<()> {
    for (key, name, message) in [
        (
            "sparse",
            "w",
            "expected a tensor of plain numbers, got what torch._utils._rebuild_sparse_tensor makes",
        ),
        ("quantized", "w", "got what torch._utils._rebuild_qtensor makes"),
        ("meta", "w", "got what torch._utils._rebuild_meta_tensor_no_storage makes"),
        ("complex", "w", "got torch.ComplexFloatStorage: convert it before it is saved"),
        ("negated", "w", "expected a tensor of plain numbers, got one that is negated"),
        ("list", "more", "expected a tensor, got a list with tensors"),
        ("numbers for names", "0", "expected a text as its name, got a number"),
    ] {
        let found = LoadOptions::new().state_dict_key(key).read(fixture("faults.pth"), &Device::Cpu)?;
        assert!(found.unreadable[name].contains(message), "{key}: {}", found.unreadable[name]);
        let text = found.tensor(name).unwrap_err().to_string();
        assert!(text.contains(&format!("faults.pth: {name}: expected")), "{text}");
    }
    Ok(())
}

#[test]
fn a_model_is_loaded_by_content() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let model = Linear::new(2, 2, rng)?.without_bias();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("model.safetensors"); // the name does not matter
    std::fs::write(&file, archive(&state("FloatStorage", 4, 0, &[2, 2], &[1, 2]), &floats(4), "little"))
        .unwrap();
    load(&file, &model)?;
    assert_eq!(model.weight.get().to_vec2::<f32>()?, [[0.0, 2.0], [1.0, 3.0]]);
    assert_eq!(read(&file, &Device::Cpu)?.len(), 1);
    Ok(())
}

/// A pickle of {"weight": a view}, with the sizes as 8 byte integers.
fn state(storage: &str, length: i64, offset: i64, shape: &[i64], stride: &[i64]) -> Vec<u8> {
    let int = |n: i64| [&[0x8a, 8][..], &n.to_le_bytes()].concat();
    let text = |t: &str| [&b"X"[..], &(t.len() as u32).to_le_bytes()[..], t.as_bytes()].concat();
    let tuple =
        |sizes: &[i64]| [vec![b'('], sizes.iter().flat_map(|&n| int(n)).collect(), vec![b't']].concat();
    let class = format!("ctorch\n{storage}\n");
    let storage =
        [&b"("[..], &text("storage"), class.as_bytes(), &text("0"), &text("cpu"), &int(length), b"tQ"]
            .concat();
    let view =
        [&b"ctorch._utils\n_rebuild_tensor_v2\n("[..], &storage, &int(offset), &tuple(shape), &tuple(stride)];
    let view = [&view.concat()[..], b"\x89}tR"].concat();
    [b"\x80\x02}", &text("weight")[..], &view, b"s."].concat()
}

fn floats(count: u16) -> Vec<u8> {
    (0..count).flat_map(|i| f32::from(i).to_le_bytes()).collect()
}

fn archive(pickle: &[u8], numbers: &[u8], order: &str) -> Vec<u8> {
    let records = [("data.pkl", pickle), ("byteorder", order.as_bytes()), ("data/0", numbers)];
    zipped(records.map(|(name, bytes)| (format!("archive/{name}"), bytes)))
}

fn zipped<'a>(records: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in records {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn parsed(bytes: &[u8]) -> Result<Tensor, String> {
    entries(bytes, None)?.remove("weight").unwrap().map(Tensor::from)
}

#[test]
fn byte_orders() {
    let pickle = state("FloatStorage", 3, 1, &[2], &[1]);
    let mut turned = floats(3);
    turned.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    assert_eq!(parsed(&archive(&pickle, &turned, "big")).unwrap().to_vec1::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(
        parsed(&archive(&pickle, &floats(3), "little")).unwrap().to_vec1::<f32>().unwrap(),
        [1.0, 2.0]
    );
    assert!(
        parsed(&archive(&pickle, &floats(3), "middle"))
            .unwrap_err()
            .contains("little or big, got \"middle\"")
    );
}

#[test]
fn wrong_sizes() {
    let huge = 1_i64 << 62;
    for (length, offset, shape, stride, message) in [
        (4, 1, &[4][..], &[1][..], "weight: expected a view inside its storage of 4 numbers, got shape [4]"),
        (4, 0, &[2, 2], &[3, 1], "expected a view inside its storage"),
        (4, huge, &[1], &[1], "expected a view inside its storage"),
        (4, 0, &[2], &[huge], "expected a view inside its storage"),
        (4, 0, &[huge, huge], &[0, 0], "got more than fits in memory"),
        // candle would panic.
        (4, 0, &[0, huge, huge], &[0, 0, 0], "got more than fits in memory"),
        (4, 0, &[1 << 40], &[0], "expected tensors of at most 671"),
        (4, 0, &[-1], &[1], "expected sizes from 0 up, got -1"),
        (4, -1, &[1], &[1], "expected sizes from 0 up, got -1"),
        (4, 0, &[2], &[1, 1], "expected a tensor as torch.save writes it"),
        (5, 0, &[2], &[1], "expected a storage of 5 numbers of 4 bytes, got 16 bytes"),
        (3, 0, &[2], &[1], "expected a storage of 3 numbers of 4 bytes, got 16 bytes"),
        (huge, 0, &[huge], &[1], "got more than fits in memory"),
    ] {
        let pickle = state("FloatStorage", length, offset, shape, stride);
        let text = parsed(&archive(&pickle, &floats(4), "little")).unwrap_err();
        assert!(text.contains(message), "{shape:?}: {text}");
    }
    // What is empty shows nothing, wherever it begins.
    let nothing = state("FloatStorage", 0, huge, &[0, 1 << 40], &[1, 1]);
    assert_eq!(parsed(&archive(&nothing, &[], "little")).unwrap().elem_count(), 0);
}

#[test]
fn files_that_are_refused() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.pth");
    let message = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        read_pth(&file, &Device::Cpu).unwrap_err().to_string()
    };
    let old = std::fs::read(fixture("old.pth")).unwrap();
    let text = message(&old);
    assert!(text.contains("a.pth: expected PyTorch's format since 1.6, got the one before"), "{text}");
    let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    assert_eq!(load(&file, &model).unwrap_err().to_string(), text);

    let whole = archive(&state("FloatStorage", 4, 0, &[4], &[1]), &floats(4), "little");
    assert!(parsed(&whole).is_ok());
    for length in 0..whole.len() {
        let text = message(&whole[..length]);
        assert!(text.contains("a.pth: expected a file that torch.save wrote"), "{length}: {text}");
    }
    // Records that share bytes can be a million times the file.
    let mut archive = Archive::open(&whole).unwrap();
    let refused = (0..whole.len()).find_map(|_| archive.record("data/0").err()).unwrap();
    assert!(refused.ends_with("data/0, got: records that share their bytes"), "{refused}");
    // A number that was changed in the file: the zip archive has a sum over each record.
    let at = whole.windows(16).position(|bytes| bytes == floats(4)).unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    assert!(message(&damaged).contains("weight: expected a file that torch.save wrote, whole, with data/0"));
    for (bytes, expected) in [
        (&b"\x93NUMPY"[..], "expected a file that torch.save wrote, got an array of numpy (.npy)"),
        (b"\x80\x02}.", "expected a file that torch.save wrote, got a Python pickle"),
        (&zipped([("x.npy".to_string(), &b"1"[..])]), "got arrays of numpy (.npz), with x.npy"),
        (&zipped(["a/data.pkl", "a/constants.pkl"].map(|n| (n.to_string(), &b"N."[..]))), "got TorchScript"),
        (&zipped([("a/data.pkl".to_string(), &b"N."[..])]), "expected a state dict, got None"),
        (&zipped([("a/data.pkl".to_string(), &b""[..])]), "got one with a pickle that is cut off"),
    ] {
        let text = message(bytes);
        assert!(text.contains(expected), "{text}");
    }
    let missing = state("FloatStorage", 4, 0, &[4], &[1]);
    assert!(message(&zipped([("a/data.pkl".to_string(), &missing[..])])).contains("with data/0, got: "));
    assert!(
        read_pth(directory.path().join("none"), &Device::Cpu)
            .unwrap_err()
            .to_string()
            .contains("can be read")
    );
    Ok(())
}

#[test]
fn any_byte_may_be_wrong() {
    let pickle = state("FloatStorage", 4, 0, &[2, 2], &[2, 1]);
    for at in 0..pickle.len() {
        for byte in (0..=255).skip(at % 5).step_by(5) {
            let mut changed = pickle.clone();
            changed[at] = byte;
            // Whatever comes of it, it is no panic, and no number that is not in the file.
            if let Ok(found) = entries(&archive(&changed, &floats(4), "little"), None) {
                let all = found.into_values().flatten().flat_map(|array| numbers(&Tensor::from(array)));
                assert!(all.into_iter().all(|x| x.is_nan() || x.abs() < 1e300));
            }
        }
        assert!(Pickle::read(&pickle[..at]).is_err());
    }
}

#[test]
fn malicious_pickles() {
    let read = |bytes: &[u8]| Pickle::read(bytes).map(|pickle| pickle.kind(pickle.root));
    // A million tuples one in the other, and a text that claims four gigabytes.
    let deep = [&b")"[..], &vec![0x85; 1_000_000], b"."].concat();
    assert_eq!(read(&deep).unwrap(), "a tuple");
    assert!(entries(&archive(&deep, &[], "little"), None).unwrap_err().contains("got a tuple"));
    assert!(read(b"X\xff\xff\xff\xffabc.").unwrap_err().contains("cut off"));
    // Each dict names the one before twice: a billion if they were copied.
    let mut doubled = b"}q\x00".to_vec();
    for i in 0..30 {
        doubled.extend([b'}', b'q', i + 1, b'N', b'h', i, b's', b'K', 1, b'h', i, b's']);
    }
    assert_eq!(read(&[&doubled[..], b"."].concat()).unwrap(), "a dict");
    // A list in itself.
    assert!(entries(&archive(b"}X\x01\x00\x00\x00a]q\x00h\x00as.", &[], "little"), None).is_err());
    let long = [&b"c"[..], &vec![b'a'; 900], b"\n", &vec![b'b'; 900], b"\n."].concat();
    assert!(read(&long).is_err());
    for (bytes, kind) in [
        (&b"\x8a\x01\xff."[..], Some("a number")),
        (b"\x8a\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01.", Some("a number")),
        (b"\x8a\x00.", Some("a number")),
        (b"(N0N1.", None),
        (b"(K\x01K\x02d.", Some("a dict")),
        (b"(K\x01d.", None),
        (b"N(0.", Some("None")),
        (b"(.", None),
        (b"h\x00.", None),
        (b"N)s.", None),
        (b"(I1\n.", None), // protocol 0
        (b".", None),
        (b"\xff.", None),
    ] {
        assert_eq!(read(bytes).ok().as_deref(), kind, "{bytes:?}");
    }
    assert_eq!(integer(&[0xfe]), pickle::Object::Int(-2));
    assert_eq!(integer(&(1_i64 << 40).to_le_bytes()), pickle::Object::Int(1 << 40));
}
