//! Marian's `.bin` files, which Firefox and Bergamot use too, in f32 or quantized by intgemm.
//!
//! `u64` version 1, `u64` n, n headers of four `u64` (length of the name, type, dimensions, length of the data), the
//! names, the shapes as `i32`, a `u64` offset and as much padding, then the data. An intgemm item has `i8` values, then
//! an f32 multiplier; a value stands for `q / multiplier`. All but tables of embeddings are stored transposed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use strata_files::MappedFile;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::tensors::{Element, Info, Tensors};

/// The item that holds the model's options, as YAML.
pub const OPTIONS: &str = "special:model.yml";

const VERSION: u64 = 1;
/// Bytes of an item in the headers.
const HEADER: u64 = 32;
/// More items than any model has.
const MOST_ITEMS: u64 = 1 << 20;

/// An open file.
#[derive(Debug)]
pub struct Marian {
    map: MappedFile,
    items: BTreeMap<String, Item>,
}

#[derive(Clone, Debug)]
struct Item {
    info: Info,
    data: Range<usize>,
    quantized: bool,
}

/// An item quantized by intgemm.
#[derive(Clone, Copy, Debug)]
pub struct Quantized<'a> {
    /// `i8` values: those of `W` `[inputs, outputs]` as `[outputs, inputs]`; those of a table of embeddings as they
    /// are.
    pub values: &'a [u8],
    /// A value stands for `q / multiplier`.
    pub multiplier: f32,
}

impl Marian {
    /// Maps the file and checks its headers against its length.
    ///
    /// # Errors
    /// Anything but a whole file of version 1 with items in f32, f16, int8 and intgemm's int8.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = MappedFile::open(path)?;
        let items = read(path, &map)?;
        Ok(Self { map, items })
    }

    /// The model's options, as YAML.
    ///
    /// # Errors
    /// A file without them.
    pub fn options(&self) -> Result<&str, Error> {
        let bytes = match self.items.get(OPTIONS) {
            Some(item) => &self.map[item.data.clone()],
            None => return Err(Error::NoTensor { path: self.path().to_path_buf(), name: OPTIONS.to_owned() }),
        };
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).map_err(|_| Error::damaged(self.path(), format!("{OPTIONS} is not UTF-8")))
    }

    /// An item as intgemm quantized it; none for one in floats.
    ///
    /// # Errors
    /// [`Error::NoTensor`]; a multiplier that is no positive number.
    pub fn quantized(&self, name: &str) -> Result<Option<Quantized<'_>>, Error> {
        let item = self.item(name)?;
        if !item.quantized {
            return Ok(None);
        }
        let (values, rest) = self.map[item.data.clone()].split_at(item.data.len() - 4);
        let multiplier = f32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if !(multiplier.is_finite() && multiplier > 0.0) {
            return Err(Error::damaged(self.path(), format!("`{name}` has the multiplier {multiplier}")));
        }
        Ok(Some(Quantized { values, multiplier }))
    }

    fn item(&self, name: &str) -> Result<&Item, Error> {
        let missing = || Error::NoTensor { path: self.path().to_path_buf(), name: name.to_owned() };
        self.items.get(name).ok_or_else(missing)
    }
}

/// Whether an item is stored as it is shaped, not transposed.
fn is_table(name: &str) -> bool {
    name.ends_with("Wemb")
}

impl Tensors for Marian {
    fn path(&self) -> &Path {
        self.map.path()
    }

    fn names(&self) -> Vec<&str> {
        self.items.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<Info> {
        self.items.get(name).map(|item| item.info.clone())
    }

    fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        let item = self.item(name)?;
        let values = if item.quantized { item.data.start..item.data.end - 4 } else { item.data.clone() };
        Ok(Cow::Borrowed(&self.map[values]))
    }

    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let info = self.expect(name, shape)?;
        let Some(Quantized { values, multiplier }) = self.quantized(name)? else {
            let values = info.element.widen(&self.bytes(name)?);
            return values.ok_or_else(|| Error::unsupported(self.path(), format!("`{name}` holds no floats")));
        };
        let value = |q: u8| f32::from(q as i8) / multiplier;
        Ok(match shape {
            [inputs, outputs] if !is_table(name) => {
                (0..inputs * outputs).map(|i| value(values[i % outputs * inputs + i / outputs])).collect()
            }
            _ => values.iter().map(|q| value(*q)).collect(),
        })
    }
}

fn read(path: &Path, map: &MappedFile) -> Result<BTreeMap<String, Item>, Error> {
    let mut cursor = Cursor::new(path, map);
    let version = cursor.u64()?;
    if version != VERSION {
        return Err(Error::damaged(path, format!("it does not begin as a Marian model: version {version}")));
    }
    let count = cursor.u64()?;
    if count > MOST_ITEMS {
        return Err(Error::damaged(path, format!("it announces {count} items")));
    }
    let mut headers = Cursor::new(path, cursor.take(count * HEADER)?);
    let mut announced = Vec::new();
    for _ in 0..count {
        announced.push([headers.u64()?, headers.u64()?, headers.u64()?, headers.u64()?]);
    }
    let mut names = Vec::new();
    for [length, ..] in &announced {
        names.push(cursor.text(*length)?.to_owned());
    }
    let mut shapes = Vec::new();
    for ([_, _, dimensions, _], name) in announced.iter().zip(&names) {
        if *dimensions > 8 {
            return Err(Error::damaged(path, format!("`{name}` has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..*dimensions {
            let size = cursor.u32()? as i32;
            let size = usize::try_from(size);
            shape.push(size.map_err(|_| Error::damaged(path, format!("`{name}` has a negative size")))?);
        }
        shapes.push(shape);
    }
    let padding = cursor.u64()?;
    cursor.take(padding)?;
    let mut items = BTreeMap::new();
    for (([_, kind, _, length], name), shape) in announced.iter().zip(names).zip(shapes) {
        let start = cursor.at();
        cursor.take(*length)?;
        let (element, quantized) = element(*kind).ok_or_else(|| {
            let what = format!("`{name}` has elements of type {kind:#x}; read are f32, f16, int8 and intgemm's int8");
            Error::unsupported(path, what)
        })?;
        let info = Info { element, shape };
        let needed = info.bytes().and_then(|bytes| bytes.checked_add(if quantized { 4 } else { 0 }));
        // Data is padded, so it may be longer.
        let needed = needed.filter(|needed| needed <= length);
        let needed = needed.ok_or_else(|| {
            Error::damaged(path, format!("`{name}` {:?} has {length} bytes, which are too few", info.shape))
        })?;
        let item = Item { info, data: start..start + needed as usize, quantized };
        if items.insert(name.clone(), item).is_some() {
            return Err(Error::damaged(path, format!("it has `{name}` twice")));
        }
    }
    if !cursor.is_at_end() {
        return Err(Error::damaged(path, format!("{} bytes follow the last item", map.len() - cursor.at())));
    }
    Ok(items)
}

/// Marian's number of a type: its size in the low byte, its class in the next, intgemm as a flag.
fn element(kind: u64) -> Option<(Element, bool)> {
    Some(match kind {
        0x404 => (Element::F32, false),
        0x402 => (Element::F16, false),
        0x101 => (Element::I8, false),
        0x201 => (Element::U8, false),
        0x104 => (Element::I32, false),
        0x4101 => (Element::I8, true),
        _ => return None,
    })
}
