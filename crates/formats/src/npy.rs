//! The header of a `.npy` array: a magic, a version, and a Python dictionary of three keys as text, of which exactly
//! the form that NumPy writes is read.

use crate::tensors::{Element, Info};

/// Bytes of the longest header that is read.
pub(crate) const MOST_HEADER: usize = 4096;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Type and shape, and where the elements begin.
///
/// # Errors
/// What is wrong with the header, or what it says that is not read.
pub(crate) fn header(bytes: &[u8]) -> Result<(Info, usize), String> {
    let short = || "its header is cut short".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as a .npy")?;
    let (length, before) = match *rest {
        [1, 0, a, b, ..] => (u16::from_le_bytes([a, b]) as usize, 10),
        [2 | 3, 0, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        [major, minor, ..] => return Err(format!("version {major}.{minor} of the format is not known")),
        _ => return Err(short()),
    };
    let start = before + length;
    if start > MOST_HEADER {
        return Err(format!("a header of {length} bytes; at most {MOST_HEADER} are read"));
    }
    let text = bytes.get(before..start).ok_or_else(short)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is no text")?;
    Ok((dictionary(text).ok_or_else(|| format!("its header {:?} is not understood", text.trim()))??, start))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. None for another form; the error for values
/// that are not read.
fn dictionary(text: &str) -> Option<Result<Info, String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut element, mut shape, mut c_order) = (None, None, false);
    while !rest.is_empty() {
        let (key, after) = rest.strip_prefix('\'')?.split_once('\'')?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" => {
                let (name, after) = value.strip_prefix('\'')?.split_once('\'')?;
                element = Some(element_of(name)?);
                after
            }
            "fortran_order" => {
                let Some(after) = value.strip_prefix("False") else {
                    value.strip_prefix("True")?;
                    return Some(Err("it is in Fortran order; save it with numpy.ascontiguousarray".to_owned()));
                };
                c_order = true;
                after
            }
            "shape" => {
                let (numbers, after) = value.strip_prefix('(')?.split_once(')')?;
                let numbers = numbers.split(',').map(str::trim).filter(|number| !number.is_empty());
                shape = Some(numbers.map(|number| number.parse().ok()).collect::<Option<Vec<usize>>>()?);
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
    }
    (c_order).then_some(())?;
    Some(element?.map(|element| Info { element, shape: shape.unwrap_or_default() }))
}

/// The elements of a type's name; the error for one that is not read.
fn element_of(name: &str) -> Option<Result<Element, String>> {
    Some(Ok(match name {
        "<f4" => Element::F32,
        "<f2" => Element::F16,
        "|i1" => Element::I8,
        "<i2" => Element::I16,
        "<i4" => Element::I32,
        "<i8" => Element::I64,
        "|u1" | "|b1" => Element::U8,
        other => return Some(Err(format!("elements of type {other:?}; read are <f4, <f2 and integers"))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(dictionary: &str) -> Vec<u8> {
        let length = dictionary.len() as u16;
        [MAGIC, &[1, 0], &length.to_le_bytes()[..], dictionary.as_bytes()].concat()
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let written = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n");
        assert_eq!(header(&written).unwrap(), (Info { element: Element::F32, shape: vec![3, 4] }, written.len()));
        let one = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (7,), }");
        assert_eq!(header(&one).unwrap().0.shape, [7]);
        let none = npy("{'descr': '<i8', 'fortran_order': False, 'shape': (), }");
        assert_eq!(header(&none).unwrap().0, Info { element: Element::I64, shape: vec![] });
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = |text: &str| header(&npy(text)).unwrap_err();
        assert!(refused("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }").contains("Fortran"));
        assert!(refused("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }").contains("<f8"));
        assert!(refused("{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }").contains("|O"));
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -4), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os'), }",
            "{'descr': '<f4', 'shape': (3, 4), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
        ] {
            assert!(refused(text).contains("is not understood"), "{text}");
        }
        let written = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
        for length in 0..written.len() {
            assert!(header(&written[..length]).is_err(), "{length}");
        }
    }
}
