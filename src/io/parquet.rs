//! Columns as Parquet files.

use std::path::Path;
use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, FixedSizeListArray, PrimitiveArray, RecordBatch};
use arrow_schema::Field;
use candle_core::DType;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::write_atomically;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::file_error;

/// Writes columns as a Parquet table, compressed with Zstandard, whole or not at all: a tensor of shape (n) is a column of numbers, one of
/// shape (n, k) a column of lists. Their order is kept.
///
/// The dtypes stay as they are (f16, f32, f64, u8, u32, i16, i32, i64).
///
/// ```
/// # use tealight::data::{Table, TableOptions};
/// # use tealight::io;
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-write.parquet");
/// let x = Tensor::new(&[[0.5_f32, 1.0], [2.0, 3.5]], &Device::Cpu)?;
/// io::write_parquet(&path, &[("x", &x), ("class", &Tensor::new(&[1_u32, 0], &Device::Cpu)?)])?;
/// let table = Table::read(&path, &TableOptions::new())?;
/// assert_eq!((table.names().join(" "), table.row(1)?), ("x[0] x[1] class".into(), vec!["2", "3.5", "0"]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// Errors if the file cannot be written, there is no column or two of one name, the first axes differ in length, or a tensor has another
/// number of axes or another dtype.
#[doc(alias = "to_parquet")]
pub fn write_parquet(path: impl AsRef<Path>, columns: &[(&str, &Tensor)]) -> Result<()> {
    let path = path.as_ref();
    let mut fields: Vec<(String, ArrayRef)> = Vec::new();
    for (name, tensor) in columns {
        if fields.iter().any(|(other, _)| other == name) {
            return Err(Error::argument("write_parquet", "one column of each name", format!("two {name:?}")));
        }
        fields.push((name.to_string(), array(name, tensor)?));
    }
    let failed = |error: &dyn std::fmt::Display| file_error(path, format!("cannot be written: {error}"));
    let batch = RecordBatch::try_from_iter(fields)
        .map_err(|error| Error::argument("write_parquet", "columns of one length", error))?;
    let options =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(options)).map_err(|error| failed(&error))?;
    writer.write(&batch).map_err(|error| failed(&error))?;
    writer.close().map_err(|error| failed(&error))?;
    write_atomically(path, &bytes)
}

fn array(name: &str, tensor: &Tensor) -> Result<ArrayRef> {
    let refuse = |got: String| {
        Error::argument(
            "write_parquet",
            format!("a tensor (n) or (n, k) of numbers for the column {name:?}"),
            got,
        )
    };
    let width = match tensor.dims() {
        [_] => None,
        &[_, width] if i32::try_from(width).is_ok() => Some(width as i32),
        other => return Err(refuse(format!("the shape {other:?}"))),
    };
    let flat = tensor.flatten(0, -1)?;
    fn numbers<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::from_iter_values(values))
    }
    let numbers = match tensor.dtype() {
        DType::F16 => numbers::<Float16Type>(flat.to_vec1()?),
        DType::F32 => numbers::<Float32Type>(flat.to_vec1()?),
        DType::F64 => numbers::<Float64Type>(flat.to_vec1()?),
        DType::U8 => numbers::<UInt8Type>(flat.to_vec1()?),
        DType::U32 => numbers::<UInt32Type>(flat.to_vec1()?),
        DType::I16 => numbers::<Int16Type>(flat.to_vec1()?),
        DType::I32 => numbers::<Int32Type>(flat.to_vec1()?),
        DType::I64 => numbers::<Int64Type>(flat.to_vec1()?),
        other => return Err(refuse(format!("the dtype {}", other.as_str()))),
    };
    let Some(width) = width else { return Ok(numbers) };
    let field = Arc::new(Field::new("element", numbers.data_type().clone(), false));
    let lists = FixedSizeListArray::try_new_with_length(field, width, numbers, None, tensor.dims()[0]);
    Ok(Arc::new(lists.map_err(|error| refuse(error.to_string()))?))
}
