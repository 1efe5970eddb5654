//! Small files that are whole, to begin with.

use std::fs;
use std::io::Cursor;

use tealight::io;
use tealight::prelude::*;

use super::{examples, file, one, program, trainer, zipped};

/// All targets.
pub const NAMES: &[&str] = &[
    "image",
    "idx",
    "csv",
    "npy",
    "npz",
    "safetensors",
    "pth",
    "checkpoint",
    "model",
    "formula",
    #[cfg(feature = "parquet")]
    "parquet",
    "compressed",
    #[cfg(feature = "tar")]
    "tar",
];

pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "image" => images(),
        "idx" => idx(),
        "csv" => tables(),
        "npy" => arrays(),
        "npz" => {
            let (_folder, path) = file(&[]);
            io::write_npz(&path, &[one(&tensors()[0]), one(&tensors()[1])].into_iter().flatten().collect())
                .unwrap();
            [arrays(), vec![fs::read(path).unwrap(), zipped(&[])]].concat()
        }
        "safetensors" => {
            let (_folder, path) = file(&[]);
            io::save(&path, &net()).unwrap();
            let model = fs::read(&path).unwrap();
            let all = tensors().into_iter().enumerate().map(|(i, x)| (format!("x{i}"), x)).collect();
            io::write(&path, &all).unwrap();
            both(vec![model, fs::read(path).unwrap()])
        }
        "pth" => pth(),
        "checkpoint" => both(checkpoints()),
        "model" => both(program::seeds()),
        "formula" => [
            "x * tanh(ln(1 + exp(x))) - -2.5e-3^x^-2",
            "(x > y ? |x - |y|| : max(x, remainder(y, 3))) / pi",
            "t1 * t1 + e where t1 = sqrt(x * x), t2 = t1 ^ 2",
            "1 / (1 + exp(-x)) + inf * NaN",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into(),
        // Without the four bytes that they begin with.
        #[cfg(feature = "parquet")]
        "parquet" => [
            &include_bytes!("../reference/parquet/pandas.parquet")[4..],
            &include_bytes!("../reference/parquet/polars.parquet")[4..],
            &include_bytes!("../reference/parquet/fastparquet.parquet")[4..],
            &include_bytes!("../reference/parquet/datasets.parquet")[4..],
            &include_bytes!("../reference/parquet/int128.parquet")[4..],
            &include_bytes!("../reference/parquet/pyarrow-zstd.parquet")[4..],
            &include_bytes!("../reference/parquet/pyarrow-none.parquet")[4..],
            // Its numbers depend on whether its row groups are read together.
            &include_bytes!("../reference/parquet/damaged-groups.parquet")[4..],
        ]
        .map(<[u8]>::to_vec)
        .into(),
        "compressed" => compressed(),
        #[cfg(feature = "tar")]
        "tar" => archives(),
        other => panic!("no target {other}"),
    }
}

/// Safetensors files, and the same without the length of the header, which stays right then.
fn both(files: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let bare = files.iter().map(|file| file[8..].to_vec()).collect();
    [files, bare].concat()
}

/// A model with four tensors.
pub(super) fn net() -> Sequential {
    let rng = &mut Rng::seed(1);
    Sequential::new().push(Linear::new(2, 3, rng).unwrap()).push(Relu).push(Linear::new(3, 1, rng).unwrap())
}

fn tensors() -> Vec<Tensor> {
    let x = Tensor::new(&[[0.0, 1.5, -2.0], [f64::NAN, f64::INFINITY, 1e300]], &Device::Cpu).unwrap();
    let types =
        [DType::F32, DType::F64, DType::F16, DType::U8, DType::U32, DType::I64, DType::I32, DType::I16];
    let mut all: Vec<Tensor> = types.iter().map(|&dtype| x.to_dtype(dtype).unwrap()).collect();
    all.push(Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap());
    all.push(Tensor::zeros((), DType::I64, &Device::Cpu).unwrap());
    all
}

fn images() -> Vec<Vec<u8>> {
    use image::{DynamicImage, ImageFormat};
    let rgb = DynamicImage::ImageRgb8(image::RgbImage::from_fn(9, 7, |x, y| {
        image::Rgb([x, y, x * y].map(|v| (v * 31) as u8))
    }));
    let wide = DynamicImage::ImageRgba16(rgb.to_rgba16());
    let grey = DynamicImage::ImageLuma8(rgb.to_luma8());
    let encoded = |(picture, format): (&DynamicImage, ImageFormat)| {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let mut all: Vec<_> = [
        (&rgb, ImageFormat::Png),
        (&wide, ImageFormat::Png),
        (&grey, ImageFormat::Png),
        (&rgb, ImageFormat::Jpeg),
        (&grey, ImageFormat::Jpeg),
        (&rgb, ImageFormat::Bmp),
        (&rgb, ImageFormat::Gif),
        (&rgb, ImageFormat::WebP),
        (&rgb, ImageFormat::Tiff),
        (&wide, ImageFormat::Tiff),
        (&rgb, ImageFormat::Pnm),
        (&grey, ImageFormat::Pnm),
    ]
    .map(encoded)
    .into();
    all.push(b"P2 2 1 255 7 9\n".to_vec());
    all.push(b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\nab".to_vec());
    all
}

fn idx() -> Vec<Vec<u8>> {
    let file = |kind: u8, width: usize, shape: &[u32]| {
        let mut bytes = vec![0, 0, kind, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|length| length.to_be_bytes()));
        let count = shape.iter().product::<u32>() as usize * width;
        bytes.extend((0..count).map(|i| (i * 37) as u8));
        bytes
    };
    let mut all: Vec<_> = [(8, 1), (9, 1), (11, 2), (12, 4), (13, 4), (14, 8)]
        .map(|(kind, width)| file(kind, width, &[2, 3]))
        .into();
    all.push(file(8, 1, &[0, 4]));
    all.push(file(8, 1, &[]));
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zip, &all[0]).unwrap();
    all.push(zip.finish().unwrap());
    all
}

fn tables() -> Vec<Vec<u8>> {
    let table = "a,b,y\n1,red,no\n-2.5e1,\"blue, pale\",yes\n,NA,no\n";
    let schema = r#"{"format":{"auto":false,"header":null,"delimiter":null,"decimal":null,"thousands":null,"encoding":null,"sheet":null,"day_first":false,"missing":"Fill","na_values":["","NA"]},"form":{"header":true,"delimiter":44,"numbers":{"decimal":".","thousands":null},"encoding":"UTF-8","sheet":null,"ambiguous":false},"double":false,"inputs":[{"name":"a","kind":{"Numeric":{"mean":"1.5"}}},{"name":"b","kind":{"Categorical":{"categories":["red","blue"],"most_frequent":0}}}],"target":{"name":"y","kind":{"Categorical":{"categories":["no","yes"],"most_frequent":0}}}}"#;
    [
        format!("\x01{table}"),
        format!("\x02{table}"),
        format!("\x06{}", table.replace("yes", "1").replace("no", "10")),
        format!("\x12{}", table.replace(',', ";")),
        format!("\x2a{table}"),
        "\x08\u{feff}1,2\r\n\r\n3,4\r\n".into(),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([[&[0x80][..], schema.as_bytes(), b"\0", table.as_bytes()].concat()])
    .collect()
}

/// Tables in gzip, also in two parts with all that a header may have, and in Zstandard, each without the bytes it begins with: the first byte says
/// which they are.
fn compressed() -> Vec<Vec<u8>> {
    let table = "a,b,y\n".to_string() + &"1,red,no\n-2.5e1,\"blue, pale\",yes\n,NA,no\n".repeat(20);
    let gzip = |text: &str, level| {
        let mut gzip = flate2::GzBuilder::new()
            .filename("t.csv")
            .comment("a table")
            .extra([1_u8, 2])
            .mtime(7)
            .write(Vec::new(), level);
        std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let (fast, none) = (flate2::Compression::fast(), flate2::Compression::none());
    let parts = [gzip(&table[..100], fast), gzip(&table[100..], none)].concat();
    let mut all: Vec<_> =
        [gzip(&table, fast), parts].iter().map(|bytes| [b"\0", &bytes[2..]].concat()).collect();
    #[cfg(feature = "parquet")]
    all.push([b"\x01", &zstd_file(table.as_bytes())[4..]].concat());
    // A text, which is packed.
    all.push([b"\x02", table.as_bytes()].concat());
    all
}

/// A Zstandard file with its bytes as they are.
#[cfg(feature = "parquet")]
fn zstd_file(bytes: &[u8]) -> Vec<u8> {
    // A single segment, whose length has two bytes, and one raw block, the last.
    let length = u16::try_from(bytes.len() - 256).unwrap().to_le_bytes();
    let block = ((bytes.len() as u32) << 3 | 1).to_le_bytes();
    [b"\x28\xb5\x2f\xfd\x60", &length[..], &block[..3], bytes].concat()
}

/// Archives of images: with their classes as texts, and by directories, with long names and entries that are no files.
#[cfg(feature = "tar")]
fn archives() -> Vec<Vec<u8>> {
    let picture = &images()[0];
    let archive = |files: &[(&str, &[u8])]| {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    };
    let text = b"P2 2 1 255 7 9\n";
    let deep = format!("{}cats/1.pgm", "a/".repeat(80));
    let mut linked = tar::Builder::new(Vec::new());
    linked.append_pax_extensions([("path", &b"dogs/2.pgm"[..]), ("size", &b"15"[..])]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    linked.append_data(&mut header, "x.pgm", &text[..]).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    linked.append_link(&mut header, "cats/link.pgm", "/etc/passwd").unwrap();
    vec![
        archive(&[("0001.png", picture), ("0001.cls", b"1\n"), ("0002.pgm", text), ("0002.cls", b"0")]),
        archive(&[("cats/1.png", picture), ("dogs/2.pgm", text), (&deep, text)]),
        linked.into_inner().unwrap(),
    ]
}

fn arrays() -> Vec<Vec<u8>> {
    let (_folder, path) = file(&[]);
    let written = |x: &Tensor| {
        io::write_npy(&path, x).unwrap();
        fs::read(&path).unwrap()
    };
    let mut all: Vec<_> = tensors().iter().map(written).collect();
    let header = |version: u8, text: &str| {
        let length = (text.len() as u32).to_le_bytes();
        [b"\x93NUMPY", &[version, 0][..], &length[..if version == 1 { 2 } else { 4 }], text.as_bytes()]
            .concat()
    };
    for (version, descr, order, shape, bytes) in [
        (2, ">f4", "True", "(2L, 1)", 8),
        (3, "|b1", "False", "(3,)", 3),
        (1, "|i1", "True", "(2, 2, 1)", 4),
        (1, ">u8", "False", "(1,)", 8),
        (1, "<u2", "False", "(1, 2)", 4),
        (1, "<U3", "False", "(1,)", 12),
        (1, "<V2", "False", "(2,)", 4),
    ] {
        let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        all.push([header(version, &text), vec![1; bytes]].concat());
    }
    all
}

/// A state dict as `torch.save` pickles it: one tensor, numbers 1 to 4 of 16.
const PICKLE: &[u8] = b"\x80\x02}q\x00X\x06\x00\x00\x00weightctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage\
    ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10tQK\x01K\x02K\x02\x86K\x02K\x01\x86\x89ccollections\n\
    OrderedDict\n)RtRs.";

fn pth() -> Vec<Vec<u8>> {
    let inner = [
        &b"\x80\x02}(X\x05\x00\x00\x00model"[..],
        &PICKLE[2..PICKLE.len() - 1],
        b"X\x05\x00\x00\x00epochK\x07u.",
    ]
    .concat();
    vec![
        PICKLE.to_vec(),
        inner,
        include_bytes!("../interop/fixtures/tensors.pth").to_vec(),
        include_bytes!("../interop/fixtures/protocol4.pth").to_vec(),
        include_bytes!("../interop/fixtures/old.pth").to_vec(),
        include_bytes!("../interop/fixtures/containers.pth").to_vec(),
    ]
}

fn checkpoints() -> Vec<Vec<u8>> {
    let (folder, _) = file(&[]);
    let model = Linear::new(2, 1, &mut Rng::seed(1)).unwrap();
    trainer(&model, folder.path()).epochs(1).fit(&examples(), Some(&examples())).unwrap();
    ["last", "best"].map(|name| fs::read(folder.path().join(format!("{name}.safetensors"))).unwrap()).into()
}
