use super::*;
use crate::prelude::*;

/// A file of version 1 with this header and these numbers.
fn file(header: &str, numbers: &[u8]) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), numbers].concat()
}

fn array(descr: &str, shape: &str, numbers: &[u8]) -> Result<Tensor, String> {
    parsed(&file(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), numbers))
}

fn parsed(bytes: &[u8]) -> Result<Tensor, String> {
    parse(bytes, &[]).flatten().map(Tensor::from)
}

#[test]
fn round_trip() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    let x = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((2, 3, 4))?;
    let strided = x.transpose(0, 2)?.narrow(1, 1, 2)?;
    let scalar = Tensor::new(7.0, &Device::Cpu)?;
    let empty = Tensor::zeros((0, 3), DType::F64, &Device::Cpu)?;
    for tensor in [x, strided, scalar, empty] {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::F32, DType::F64] {
            let tensor = tensor.to_dtype(dtype)?;
            write_npy(&path, &tensor)?;
            assert_eq!(
                std::fs::metadata(&path).unwrap().len() as usize % 64,
                (tensor.elem_count() * dtype.size_in_bytes()) % 64
            );
            let back = read_npy(&path)?;
            assert_eq!((back.dims(), back.dtype()), (tensor.dims(), dtype));
            let all = |x: &Tensor| x.to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1::<f64>();
            assert_eq!(all(&back)?, all(&tensor)?);
        }
    }
    let special = Tensor::new(&[f64::NAN, f64::INFINITY, -0.0, 5e-324], &Device::Cpu)?;
    write_npy(&path, &special)?;
    let bits =
        |x: &Tensor| Ok::<_, Error>(x.to_vec1::<f64>()?.into_iter().map(f64::to_bits).collect::<Vec<_>>());
    assert_eq!(bits(&read_npy(&path)?)?, bits(&special)?);
    let error = write_npy(&path, &special.to_dtype(DType::BF16)?).unwrap_err().to_string();
    assert_eq!(error, "write_npy: expected a dtype that numpy has too (to_dtype changes it), got bf16");
    assert!(matches!(write_npy(directory.path().join("no/a.npy"), &special), Err(Error::File { .. })));
    Ok(())
}

#[test]
fn orders_and_types() -> Result<(), String> {
    let text = |error: Error| error.to_string();
    assert_eq!(array("|b1", "(3,)", &[0, 1, 255])?.to_vec1::<u8>().map_err(text)?, [0, 1, 1]);
    assert_eq!(array("|i1", "(2,)", &[1, 255])?.to_vec1::<i64>().map_err(text)?, [1, -1]);
    assert_eq!(array("<i2", "(1,)", &[254, 255])?.to_vec1::<i64>().map_err(text)?, [-2]);
    assert_eq!(array(">i4", "(1,)", &[255, 255, 255, 253])?.to_vec1::<i64>().map_err(text)?, [-3]);
    assert_eq!(array(">i8", "(1,)", &[0, 0, 0, 0, 0, 0, 1, 2])?.to_vec1::<i64>().map_err(text)?, [258]);
    assert_eq!(array("<u2", "(1,)", &[1, 255])?.to_vec1::<u32>().map_err(text)?, [65281]);
    assert_eq!(array("<u4", "(1,)", &[255; 4])?.to_vec1::<u32>().map_err(text)?, [u32::MAX]);
    assert_eq!(array("<u8", "(1,)", &[7, 0, 0, 0, 0, 0, 0, 0])?.to_vec1::<i64>().map_err(text)?, [7]);
    assert_eq!(array(">f4", "(1,)", &1.5_f32.to_be_bytes())?.to_vec1::<f32>().map_err(text)?, [1.5]);
    assert_eq!(
        array("<f1", "(2,)", &[0x3e, 0xfc])?.to_vec1::<f32>().map_err(text)?,
        [1.5, f32::NEG_INFINITY]
    );
    assert_eq!(array(">f8", "(1, 1)", &0.1_f64.to_be_bytes())?.to_vec2::<f64>().map_err(text)?, [[0.1]]);
    let half = array(">f2", "(1,)", &[0x3e, 0])?;
    assert_eq!(
        (half.dtype(), half.to_dtype(DType::F64).map_err(text)?.to_vec1::<f64>().map_err(text)?),
        (DType::F16, vec![1.5])
    );
    // Columns first, the keys in another order, Python 2's long integers, version 3.
    let header = "{\"shape\": (2L, 3L), 'fortran_order':True, 'descr': '|u1'}   \n";
    let columns = parsed(&file(header, &[1, 2, 3, 4, 5, 6]))?;
    assert_eq!(columns.to_vec2::<u8>().map_err(text)?, [[1, 3, 5], [2, 4, 6]]);
    let cube = file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 1, 2), }", &[1, 2, 3, 4]);
    assert_eq!(parsed(&cube)?.to_vec3::<u8>().map_err(text)?, [[[1, 3]], [[2, 4]]]);
    let length = u32::from(cube[8]).to_le_bytes();
    let third = [&b"\x93NUMPY\x03\x00"[..], &length, &cube[10..]].concat();
    assert_eq!(parsed(&third)?.dims(), [2, 1, 2]);
    Ok(())
}

#[test]
fn malformed() {
    let message = |bytes: &[u8]| parsed(bytes).unwrap_err();
    assert_eq!(message(b""), "expected the beginning of an .npy file of 8 bytes, got 0");
    assert!(
        message(b"PK\x03\x04 no numpy").starts_with("expected the beginning of an .npy file, got the bytes")
    );
    assert_eq!(message(b"\x93NUMPY\x04\x00"), "expected version 1.0, 2.0 or 3.0, got 4.0");
    assert_eq!(message(b"\x93NUMPY\x01\x00\x09\x00{}"), "expected a header of 9 bytes, got 2");
    assert_eq!(
        message(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"),
        "expected a header of at most 1048576 bytes, got 4294967295"
    );
    for header in [
        "",
        "{",
        "}",
        "{}",
        "{'descr': '<f8'}",
        "{'descr': '<f8', 'fortran_order': Maybe, 'shape': ()}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} more",
        "{'a': 1}",
        "{'descr': '<f8",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
    ] {
        let error = message(&file(header, &[0; 8]));
        assert!(
            error.starts_with("expected a header with descr, fortran_order and shape, got"),
            "{header}: {error}"
        );
    }
    let records = message(&file("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", &[0; 8]));
    assert!(
        records.contains("got a structured array: save each field by itself ([('a', '<f8')])"),
        "{records}"
    );
    for (descr, what) in [
        ("|O", "Python objects"),
        ("<c16", "complex numbers"),
        ("<U3", "text"),
        ("|S2", "bytes"),
        ("<f16", "floats of another size"),
        ("<M8[s]", "dates"),
        ("<m8[ns]", "durations"),
        ("|V3", "raw bytes"),
        ("f8", "floats of another size"),
        ("", "another dtype"),
        ("<", "another dtype"),
        ("<é8", "another dtype"),
    ] {
        let error = array(descr, "(1,)", &[0; 16]).unwrap_err();
        let expected = "expected booleans, integers, or floats of 16 to 64 bits, got";
        assert_eq!(error, format!("{expected} {what} ({descr})"));
    }
    assert_eq!(
        array("<f8", "(2,)", &[0; 15]).unwrap_err(),
        "expected 16 bytes from offset 67 for the shape [2], got 15"
    );
    assert!(array("<f8", "(2,)", &[0; 17]).unwrap_err().ends_with("got more"));
    assert_eq!(
        array("<u8", "(1,)", &[255; 8]).unwrap_err(),
        format!("expected numbers below 2^63, got {} at 0", u64::MAX)
    );
    for shape in [
        "(4611686018427387904, 2)",
        "(18446744073709551615,)",
        "(1152921504606846975, 0, 9, 9, 9)",
        "(0, 4611686018427387904, 4)",
    ] {
        assert!(array("<f8", shape, &[]).is_err(), "{shape}");
    }
    // A length that the file does not have takes no memory.
    assert!(array("<f8", "(100000000000000,)", &[0; 8]).unwrap_err().ends_with("got 8"));
    // Any damage is an error or an array.
    let good = file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }", &[0; 8]);
    let rng = &mut Rng::seed(1);
    for _ in 0..2000 {
        let mut bad = good.clone();
        bad[rng.below(good.len())] = rng.below(256) as u8;
        bad.truncate(bad.len() - rng.below(2));
        let _ = parsed(&bad);
    }
}

#[cfg(feature = "compress")]
#[test]
fn archives() -> Result<()> {
    use std::collections::BTreeMap;
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npz");
    let x = Tensor::new(&[[1.0, 2.0]], &Device::Cpu)?;
    let y = Tensor::new(&[1_u8, 2], &Device::Cpu)?;
    write_npz(&path, &BTreeMap::from([("x".into(), x.clone()), ("fc/0.weight".into(), y)]))?;
    let back = read_npz(&path)?;
    assert_eq!(back.keys().collect::<Vec<_>>(), ["fc/0.weight", "x"]);
    assert_eq!((back["x"].to_vec2::<f64>()?, back["fc/0.weight"].dtype()), (vec![vec![1.0, 2.0]], DType::U8));
    assert!(write_npz(&path, &BTreeMap::from([("b".into(), x.to_dtype(DType::BF16)?)])).is_err());
    assert_eq!(read_npz(&path)?.len(), 2);

    let message = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        read_npz(&path).unwrap_err().to_string().split_once("a.npz: ").unwrap().1.to_string()
    };
    let zipped = |name: &str, bytes: &[u8]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap().into_inner()
    };
    let good = file("{'descr': '|u1', 'fortran_order': False, 'shape': (1000,), }", &[5; 1000]);
    let whole = zipped("a.npy", &good);
    assert!(whole.len() < 400);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read_npz(&path)?["a"].to_vec1::<u8>()?, [5; 1000]);
    assert!(message(&zipped("a.npy", &good[..1000])).starts_with("a: expected 1000 bytes from offset "));
    assert_eq!(
        message(&zipped("a.txt", b"hello")),
        "expected an .npz file, got a zip archive: unpack it first"
    );
    assert_eq!(
        message(&zipped("a/data.pkl", b"hello")),
        "expected an .npz file, got a file of PyTorch's (.pth)"
    );
    assert_eq!(message(b"no zip"), "expected an .npz file, got a text file");
    // Twenty-six names for one record: a small file could have thousands.
    let array = file("{'descr': '|u1', 'fortran_order': False, 'shape': (9000,)}", &[5; 9000]);
    let shared = zipped("a.npy", &array);
    let directory = shared.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let (records, rest) = shared.split_at(directory);
    let (entry, end) = rest.split_at(rest.windows(4).position(|bytes| bytes == b"PK\x05\x06").unwrap());
    let named = |name: u8| entry.iter().map(|&byte| if byte == b'a' { name } else { byte }).collect();
    let entries: Vec<u8> = (b'a'..=b'z').map(named).collect::<Vec<Vec<u8>>>().concat();
    let mut end = end.to_vec();
    [end[8], end[10]] = [26; 2];
    end[12..16].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    let error = message(&[records, &entries, &end].concat());
    assert!(error.starts_with("expected an .npz file, got records that share their bytes: "), "{error}");
    // A million zeros in a kilobyte: refused from some bytes on, whatever the header claims.
    let zeros = file("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000,)}", &[0; 1_000_000]);
    let bomb = zipped("a.npy", &zeros);
    std::fs::write(&path, &bomb).unwrap();
    assert_eq!(read_npz(&path)?["a"].elem_count(), 1_000_000);
    assert_eq!(super::npz::read_up_to(&path, zeros.len() as u64, &[])?.len(), 1);
    for most in [0, 500_000, zeros.len() as u64 - 1] {
        let error = super::npz::read_up_to(&path, most, &[]).unwrap_err().to_string();
        let most = most.max(64 * bomb.len() as u64);
        let expected = format!("expected arrays of at most {most} bytes together, got more; np.savez writes");
        assert!(error.contains(&expected), "{error}");
    }
    for end in 0..whole.len() {
        message(&whole[..end]);
    }
    let rng = &mut Rng::seed(1);
    for _ in 0..500 {
        let mut bad = whole.clone();
        bad[rng.below(whole.len())] ^= 1 << rng.below(8);
        std::fs::write(&path, bad).unwrap();
        if let Ok(tensors) = read_npz(&path) {
            assert!(tensors.values().all(|x| x.to_vec1::<u8>().unwrap() == [5; 1000]));
        }
    }
    Ok(())
}

#[cfg(feature = "compress")]
#[test]
fn one_odd_entry() -> Result<()> {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npz");
    let array = |descr: &str, numbers: &[u8]| {
        file(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}"), numbers)
    };
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("labels.npy", array("<U3", &[0; 12])),
        ("large.npy", array("<u8", &[255; 8])),
        ("meta.npy", array("|O", b"\x80\x04N.")),
        ("narrow.npy", array("<V2", &[0xc0, 0x3f])),
        ("readme.txt", b"hello".to_vec()),
        ("tiny.npy", array("<V1", &[0x39])),
        ("x.npy", array("<f8", &2.5_f64.to_le_bytes())),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    std::fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
    let found = read_npz(&path)?;
    assert_eq!((found.len(), found["x"].to_vec1::<f64>()?), (1, vec![2.5]));
    for (name, got) in [
        ("labels", "got text (<U3)"),
        ("large", "expected numbers below 2^63, got 18446744073709551615 at 0"),
        ("meta", "got Python objects (|O)"),
        ("narrow", "bfloat16 of ml_dtypes is read with NpyOptions::extension_dtype (<V2)"),
        ("readme.txt", "expected an array (.npy), got a text file"),
        ("tiny", "float8_e4m3fn of ml_dtypes is read with NpyOptions::extension_dtype (<V1)"),
    ] {
        assert!(found.unreadable[name].ends_with(got), "{name}: {}", found.unreadable[name]);
    }
    assert_eq!(found.unreadable.len(), 6);
    assert!(found.tensor("labels").unwrap_err().to_string().contains("a.npz: labels: expected"));
    let options = NpyOptions::new().extension_dtype(DType::BF16)?.extension_dtype(DType::F8E4M3)?;
    let found = options.read_npz(&path)?;
    assert_eq!(
        (found.len(), found["narrow"].dtype(), found["tiny"].dtype()),
        (3, DType::BF16, DType::F8E4M3)
    );
    let number = |name: &str| found[name].to_dtype(DType::F64)?.to_vec1::<f64>();
    assert_eq!((number("narrow")?, number("tiny")?), (vec![1.5], vec![1.125]));
    let error = NpyOptions::new().extension_dtype(DType::F16).unwrap_err().to_string();
    assert_eq!(error, "extension_dtype: expected bf16 or f8e4m3, got f16");
    Ok(())
}
