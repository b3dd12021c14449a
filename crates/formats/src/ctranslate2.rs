//! CTranslate2's `model.bin`, of binary versions 1 to 6, and its vocabularies.
//!
//! Little-endian: the binary version `u32`; from 2 on, the specification's name and its revision `u32`; the number of
//! variables `u32`; each variable: name, rank `u8`, dimensions `u32`; from 4 on, type `u8` and size in bytes `u32`,
//! before that size of an element `u8` and their number `u32`; then the values. From 3 on, the number of aliases `u32`;
//! each alias: its name, the name of its variable. Text is a `u16` length with a zero at the end, then the bytes.
//!
//! Weights in int8 have a variable `NAME_scale` with a scale for each row, those in int16 one for all: a value stands
//! for `q / scale`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use strata_files::{MappedFile, regular};

use crate::cursor::Cursor;
use crate::error::Error;
use crate::tensors::{Element, Info, Tensors};

/// The newest version that is read.
const NEWEST: u32 = 6;
/// More dimensions than any variable has. Aliases copy shapes, so that long ones would take much memory.
const MOST_DIMENSIONS: u8 = 8;
/// What int16 weights without a scale were multiplied by.
const OLD_INT16_SCALE: f32 = 1000.0;

/// An open `model.bin`.
#[derive(Debug)]
pub struct CTranslate2 {
    map: MappedFile,
    specification: String,
    revision: u32,
    variables: BTreeMap<String, Variable>,
}

#[derive(Clone, Debug)]
struct Variable {
    info: Info,
    data: Range<usize>,
}

impl CTranslate2 {
    /// Maps the file and checks its headers against its length.
    ///
    /// # Errors
    /// Anything but a whole file of a known version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = MappedFile::open(path)?;
        let mut cursor = Cursor::new(path, &map);
        let version = cursor.u32()?;
        if !(1..=NEWEST).contains(&version) {
            let what =
                format!("binary version {version}, this program reads 1 to {NEWEST}; or it is no CTranslate2 model");
            return Err(Error::unsupported(path, what));
        }
        let (mut specification, mut revision) = (String::new(), 1);
        if version >= 2 {
            specification = text(&mut cursor)?;
            revision = cursor.u32()?;
        }
        let mut variables = BTreeMap::new();
        for _ in 0..cursor.u32()? {
            let name = text(&mut cursor)?;
            let variable = variable(path, &mut cursor, version, &name)?;
            variables.insert(name, variable);
        }
        if version >= 3 {
            for _ in 0..cursor.u32()? {
                let (alias, name) = (text(&mut cursor)?, text(&mut cursor)?);
                let variable = variables.get(&name).cloned();
                let missing = || Error::damaged(path, format!("`{alias}` stands for `{name}`, which is not there"));
                variables.insert(alias.clone(), variable.ok_or_else(missing)?);
                if let Some(scale) = variables.get(&format!("{name}_scale")).cloned() {
                    variables.insert(format!("{alias}_scale"), scale);
                }
            }
        }
        if !cursor.is_at_end() {
            return Err(Error::damaged(path, format!("{} bytes follow its end", map.len() - cursor.at())));
        }
        Ok(Self { map, specification, revision, variables })
    }

    /// The kind of model, such as `TransformerSpec`; empty in files of the first version.
    pub fn specification(&self) -> &str {
        &self.specification
    }

    /// The specification's revision.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// A variable of one integer: a number of heads, a switch.
    ///
    /// # Errors
    /// A variable with more elements, or of floats.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(variable) = self.variables.get(name) else { return Ok(None) };
        let bytes = &self.map[variable.data.clone()];
        let number = match (variable.info.element, bytes) {
            (Element::I8, [a]) => i64::from(*a as i8),
            (Element::I16, [a, b]) => i64::from(i16::from_le_bytes([*a, *b])),
            (Element::I32, [a, b, c, d]) => i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            _ => return Err(Error::damaged(self.path(), format!("`{name}` is not one integer"))),
        };
        Ok(Some(number))
    }

    fn variable(&self, name: &str) -> Result<&Variable, Error> {
        let missing = || Error::NoTensor { path: self.path().to_path_buf(), name: name.to_owned() };
        self.variables.get(name).ok_or_else(missing)
    }

    /// The scales of a quantized weight: one for each row, or one for all.
    fn scales(&self, name: &str, element: Element, rows: usize) -> Result<Vec<f32>, Error> {
        let scales = match self.variables.get(&format!("{name}_scale")) {
            None if element == Element::I16 => vec![OLD_INT16_SCALE],
            None => return Err(Error::damaged(self.path(), format!("`{name}` is {element:?} without a scale"))),
            Some(scale) => scale.info.element.widen(&self.map[scale.data.clone()]).unwrap_or_default(),
        };
        let usable = (scales.len() == rows || scales.len() == 1) && scales.iter().all(|s| s.is_finite() && *s != 0.0);
        if !usable {
            return Err(Error::damaged(self.path(), format!("`{name}` has {rows} rows and {} scales", scales.len())));
        }
        Ok(scales)
    }
}

fn text(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let length = cursor.u16()?;
    Ok(cursor.text(length.into())?.to_owned())
}

fn variable(path: &Path, cursor: &mut Cursor<'_>, version: u32, name: &str) -> Result<Variable, Error> {
    let rank = cursor.u8()?;
    if rank > MOST_DIMENSIONS {
        return Err(Error::damaged(path, format!("`{name}` has {rank} dimensions")));
    }
    let mut shape = Vec::new();
    for _ in 0..rank {
        shape.push(cursor.u32()? as usize);
    }
    let kind = cursor.u8()?;
    let number = u64::from(cursor.u32()?);
    let (element, length) = if version >= 4 {
        let element = [Element::F32, Element::I8, Element::I16, Element::I32, Element::F16, Element::Bf16];
        (element.get(usize::from(kind)).copied(), number)
    } else {
        let element = match kind {
            1 => Some(Element::I8),
            2 => Some(Element::I16),
            4 => Some(Element::F32),
            _ => None,
        };
        (element, number * u64::from(kind))
    };
    let element = element.ok_or_else(|| Error::damaged(path, format!("`{name}` has elements of type {kind}")))?;
    let info = Info { element, shape };
    if info.bytes() != Some(length) {
        let what = format!("`{name}` {:?} of {element:?} has {length} bytes", info.shape);
        return Err(Error::damaged(path, what));
    }
    let start = cursor.at();
    cursor.take(length)?;
    Ok(Variable { info, data: start..cursor.at() })
}

impl Tensors for CTranslate2 {
    fn path(&self) -> &Path {
        self.map.path()
    }

    fn names(&self) -> Vec<&str> {
        self.variables.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<Info> {
        self.variables.get(name).map(|variable| variable.info.clone())
    }

    fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        Ok(Cow::Borrowed(&self.map[self.variable(name)?.data.clone()]))
    }

    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let Info { element, .. } = self.expect(name, shape)?;
        let bytes = self.bytes(name)?;
        let integers: Vec<f32> = match element {
            Element::I8 => bytes.iter().map(|q| f32::from(*q as i8)).collect(),
            Element::I16 => bytes.as_chunks().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair))).collect(),
            _ => {
                let values = element.widen(&bytes);
                return values.ok_or_else(|| Error::unsupported(self.path(), format!("`{name}` holds no floats")));
            }
        };
        let rows = shape.first().copied().unwrap_or(1);
        let scales = self.scales(name, element, rows)?;
        let columns = (integers.len() / rows.max(1)).max(1);
        let scale = |i: usize| if scales.len() == 1 { scales[0] } else { scales[i / columns] };
        Ok(integers.iter().enumerate().map(|(i, q)| q / scale(i)).collect())
    }
}

/// The tokens of a vocabulary by id: `NAME.json` (a list), or in older folders `NAME.txt` (a line each). None where
/// there is neither.
///
/// # Errors
/// A file that is neither.
pub fn vocabulary(folder: &Path, name: &str) -> Result<Option<Vec<String>>, Error> {
    let json = folder.join(format!("{name}.json"));
    if json.exists() {
        let bytes = regular::read(&json)?;
        let tokens = serde_json::from_slice(&bytes);
        return tokens.map(Some).map_err(|e| Error::damaged(&json, format!("no list of tokens: {e}")));
    }
    let lines = folder.join(format!("{name}.txt"));
    if !lines.exists() {
        return Ok(None);
    }
    let text = strata_files::utf8(&lines, regular::read(&lines)?)?;
    // Lines end with a newline only: some tokens are other kinds of white space.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.split('\n').map(str::to_owned).collect()))
}
