//! The pickle of a PyTorch file, read without running anything.
//!
//! A pickle is a program for a stack machine that can call any Python function. This interpreter knows the instructions
//! that build containers, numbers and text, and the few names that rebuild a tensor; any other name is an error that
//! says it ([`Error::Code`]). Values lie in one list and refer to each other by index, so that nothing is copied and no
//! nesting is too deep; each byte of the pickle makes a bounded number of values.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::tensors::{Element, Info};

/// A tensor as the pickle describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PickledTensor {
    pub info: Info,
    /// The key of its storage.
    pub storage: String,
    /// Where it begins in the storage, in bytes.
    pub start: u64,
}

type Id = u32;

/// Bytes of the longest key of a storage: keys are copied for each tensor.
const MOST_KEY: usize = 64;
/// Bytes of the longest name of a tensor. Many entries can have one text for their name, and each copies it.
const MOST_NAME: usize = 1024;
/// Arguments of a call; rebuilding a tensor has six. Many calls can share one list, and each goes through it.
const MOST_ARGUMENTS: usize = 16;

#[derive(Clone, Debug)]
enum Value {
    /// None, booleans, floats: nothing that decides anything.
    Plain,
    Int(i64),
    Text(String),
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage {
        element: Element,
        key: String,
    },
    Tensor(PickledTensor),
}

/// The names that a pickle of tensors needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageOf(Element),
}

impl Global {
    fn find(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "FloatStorage") => Global::StorageOf(Element::F32),
            ("torch", "HalfStorage") => Global::StorageOf(Element::F16),
            ("torch", "BFloat16Storage") => Global::StorageOf(Element::Bf16),
            ("torch", "CharStorage") => Global::StorageOf(Element::I8),
            ("torch", "ShortStorage") => Global::StorageOf(Element::I16),
            ("torch", "IntStorage") => Global::StorageOf(Element::I32),
            ("torch", "LongStorage") => Global::StorageOf(Element::I64),
            ("torch", "ByteStorage" | "BoolStorage") => Global::StorageOf(Element::U8),
            _ => return None,
        })
    }
}

/// The tensors of a pickled dictionary, by name. Entries that are no tensors are left out.
///
/// # Errors
/// [`Error::Code`] for any name but those of tensors; an instruction that is not known, a program that is cut short or
/// does not end with a dictionary, tensors that are not contiguous.
pub(crate) fn tensors(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, PickledTensor>, Error> {
    let mut machine = Machine {
        path,
        code: Cursor::new(path, bytes),
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        memoized: 0,
    };
    let result = machine.run()?;
    let Value::Dict(entries) = &machine.values[result as usize] else {
        return Err(Error::unsupported(path, "it holds no dictionary of tensors; save the state dict alone"));
    };
    let mut tensors = BTreeMap::new();
    for (key, value) in entries {
        match (machine.value(*key), machine.value(*value)) {
            (Value::Text(name), _) if name.len() > MOST_NAME => {
                return Err(machine.wrong(format!("a name of {} bytes; at most {MOST_NAME} are read", name.len())));
            }
            (Value::Text(name), Value::Tensor(tensor)) => {
                tensors.insert(name.clone(), tensor.clone());
            }
            (Value::Text(name), Value::Dict(_)) => {
                let what = format!("`{name}` is a dictionary, not a tensor; save the state dict alone");
                return Err(Error::unsupported(path, what));
            }
            _ => {}
        }
    }
    Ok(tensors)
}

struct Machine<'a> {
    path: &'a Path,
    code: Cursor<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// How often `MEMOIZE` was met, which numbers by itself.
    memoized: u32,
}

impl Machine<'_> {
    fn wrong(&self, what: impl Into<String>) -> Error {
        Error::damaged(self.path, format!("its pickle: {} (at byte {})", what.into(), self.code.at()))
    }

    fn value(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.stack.push(self.values.len() as Id - 1);
    }

    fn pop(&mut self) -> Result<Id, Error> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.wrong("an instruction lacks its operand"));
        }
        self.stack.pop().ok_or_else(|| self.wrong("an instruction lacks its operand"))
    }

    /// All values above the last mark, which goes.
    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Error> {
        let mark = self.marks.pop().ok_or_else(|| self.wrong("an instruction lacks its mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<Id, Error> {
        self.stack.last().copied().ok_or_else(|| self.wrong("an instruction lacks its operand"))
    }

    fn run(&mut self) -> Result<Id, Error> {
        loop {
            let instruction = self.code.u8()?;
            match instruction {
                b'.' => return self.pop(),
                0x80 => {
                    let version = self.code.u8()?;
                    if version > 5 {
                        return Err(self.wrong(format!("protocol {version} is not known")));
                    }
                }
                0x95 => drop(self.code.u64()?), // a frame's length, which a reader of a whole file does not need
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'N' | 0x88 | 0x89 => self.push(Value::Plain),
                b'G' => {
                    self.code.take(8)?;
                    self.push(Value::Plain);
                }
                b'J' => {
                    let number = self.code.u32()? as i32;
                    self.push(Value::Int(number.into()));
                }
                b'K' => {
                    let number = self.code.u8()?;
                    self.push(Value::Int(number.into()));
                }
                b'M' => {
                    let number = self.code.u16()?;
                    self.push(Value::Int(number.into()));
                }
                0x8a => self.long()?,
                b'X' | 0x8c | 0x8d => self.text(instruction)?,
                b')' | b']' => self.push(Value::Sequence(Vec::new())),
                0x85..=0x87 => {
                    let mut items = Vec::new();
                    for _ in 0x85..=instruction {
                        items.insert(0, self.pop()?);
                    }
                    self.push(Value::Sequence(items));
                }
                b't' | b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Sequence(items));
                }
                b'}' => self.push(Value::Dict(Vec::new())),
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set(items)?;
                }
                b'q' | b'r' | 0x94 => self.put(instruction)?,
                b'h' | b'j' => {
                    let place = if instruction == b'h' { self.code.u8()?.into() } else { self.code.u32()? };
                    let id = self.memo.get(&place).copied();
                    let id = id.ok_or_else(|| self.wrong(format!("nothing was stored as {place}")))?;
                    self.stack.push(id);
                }
                b'c' | 0x93 => self.global(instruction)?,
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                // The attributes of an ordered dictionary (`_metadata`): no tensors.
                b'b' => {
                    self.pop()?;
                    if !matches!(self.value(self.top()?), Value::Dict(_)) {
                        return Err(self.wrong("attributes for something other than a dictionary"));
                    }
                }
                other => return Err(self.wrong(format!("the instruction {other:#04x} has no part in tensors"))),
            }
        }
    }

    /// `LONG1`: a number of so many bytes.
    fn long(&mut self) -> Result<(), Error> {
        let length = self.code.u8()?;
        let bytes = self.code.take(length.into())?;
        if bytes.len() > 8 {
            return Err(self.wrong("a number of more than 64 bits"));
        }
        let sign = bytes.last().map_or(0, |last| if last & 0x80 != 0 { 0xff } else { 0 });
        let mut all = [sign; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(all)));
        Ok(())
    }

    fn text(&mut self, instruction: u8) -> Result<(), Error> {
        let length = match instruction {
            b'X' => self.code.u32()?.into(),
            0x8c => self.code.u8()?.into(),
            _ => self.code.u64()?,
        };
        let bytes = self.code.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong("text that is not UTF-8"))?;
        self.push(Value::Text(text.to_owned()));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Error> {
        let list = self.top()?;
        match &mut self.values[list as usize] {
            Value::Sequence(list) => list.extend(items),
            _ => return Err(self.wrong("items for something other than a list")),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<Id>) -> Result<(), Error> {
        let (pairs, odd) = items.as_chunks::<2>();
        let dict = self.top()?;
        match &mut self.values[dict as usize] {
            Value::Dict(dict) if odd.is_empty() => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(self.wrong("entries for something other than a dictionary")),
        }
        Ok(())
    }

    fn put(&mut self, instruction: u8) -> Result<(), Error> {
        let place = match instruction {
            b'q' => self.code.u8()?.into(),
            b'r' => self.code.u32()?,
            _ => {
                self.memoized += 1;
                self.memoized - 1
            }
        };
        let id = self.top()?;
        self.memo.insert(place, id);
        Ok(())
    }

    /// A name: of a module and of something in it.
    fn global(&mut self, instruction: u8) -> Result<(), Error> {
        let (module, name) = if instruction == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.value(module), self.value(name)) {
                (Value::Text(module), Value::Text(name)) => (module.clone(), name.clone()),
                _ => return Err(self.wrong("a name that is no text")),
            }
        };
        match Global::find(&module, &name) {
            Some(global) => self.push(Value::Global(global)),
            None => return Err(Error::Code { path: self.path.to_path_buf(), name: format!("{module}.{name}") }),
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = Vec::new();
        loop {
            match self.code.u8()? {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        String::from_utf8(line).map_err(|_| self.wrong("a name that is not UTF-8"))
    }

    /// The values of a list of arguments.
    fn arguments(&self, list: Id) -> Result<Vec<&Value>, Error> {
        match self.value(list) {
            Value::Sequence(items) if items.len() <= MOST_ARGUMENTS => {
                Ok(items.iter().map(|id| self.value(*id)).collect())
            }
            Value::Sequence(items) => Err(self.wrong(format!("a call with {} arguments", items.len()))),
            _ => Err(self.wrong("a call without arguments")),
        }
    }

    /// A reference to a storage: `('storage', TYPE, KEY, DEVICE, ELEMENTS)`.
    fn storage(&mut self) -> Result<(), Error> {
        let reference = self.pop()?;
        let storage = match self.arguments(reference)?[..] {
            [Value::Text(kind), Value::Global(Global::StorageOf(element)), Value::Text(key), _, _]
                if kind == "storage" && key.len() <= MOST_KEY =>
            {
                Some(Value::Storage { element: *element, key: key.clone() })
            }
            _ => None,
        };
        let storage = storage.ok_or_else(|| self.wrong("a reference to something other than a tensor's elements"))?;
        self.push(storage);
        Ok(())
    }

    /// A call of one of the known names.
    fn call(&mut self) -> Result<(), Error> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let arguments = self.arguments(arguments)?;
        let result = match (self.value(function), &arguments[..]) {
            (Value::Global(Global::OrderedDict), []) => Value::Dict(Vec::new()),
            (Value::Global(Global::RebuildParameter), [Value::Tensor(tensor), ..]) => Value::Tensor(tensor.clone()),
            (
                Value::Global(Global::RebuildTensor),
                [
                    Value::Storage { element, key },
                    Value::Int(offset),
                    Value::Sequence(shape),
                    Value::Sequence(strides),
                    ..,
                ],
            ) => {
                let shape = self.sizes(shape)?;
                if !is_contiguous(&shape, &self.sizes(strides)?) {
                    let what = "a tensor whose elements do not lie one after another; save it with .contiguous()";
                    return Err(Error::unsupported(self.path, what));
                }
                let start = u64::try_from(*offset).ok().and_then(|offset| offset.checked_mul(element.size() as u64));
                let start = start.ok_or_else(|| self.wrong("a tensor that begins nowhere"))?;
                let info = Info { element: *element, shape };
                Value::Tensor(PickledTensor { info, storage: key.clone(), start })
            }
            _ => return Err(self.wrong("a call that makes no tensor")),
        };
        self.push(result);
        Ok(())
    }

    fn sizes(&self, items: &[Id]) -> Result<Vec<usize>, Error> {
        // No tensor has more dimensions; and one list that many tensors share must not be copied for each.
        if items.len() > 8 {
            return Err(self.wrong("a tensor of more than 8 dimensions"));
        }
        let size = |id: &Id| match self.value(*id) {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        let sizes: Option<Vec<usize>> = items.iter().map(size).collect();
        sizes.ok_or_else(|| self.wrong("a tensor whose shape is no list of sizes"))
    }
}

/// Whether strides are those of a row-major tensor; those of dimensions of size 1 say nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(size, stride)| {
            let fits = *size <= 1 || *stride == expected;
            expected = expected.saturating_mul(*size);
            fits
        })
}
