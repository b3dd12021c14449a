use std::fs;
use std::path::PathBuf;

use strata_files::Existing;

use super::*;

fn write(dir: &Path, source: &dyn TensorSource) -> Result<PathBuf, Error> {
    let mut folder = FolderWriter::new(dir.join("m"))?;
    write_tensors(&mut folder, "x.safetensors", source)?;
    Ok(folder.commit(Existing::Replace)?.join("x.safetensors"))
}

fn sample() -> TensorList<'static> {
    let mut list = TensorList::new();
    list.push("flags", Dtype::I8, &[3], vec![1u8, 255, 3]);
    list.push_f32("b", &[2, 3], vec![0.0, -1.5, f32::MIN_POSITIVE, 3.25, 1e30, -0.0]);
    list.push_f32("a", &[], vec![7.0]);
    list.push_f32("none", &[0, 4], vec![]);
    list.push("half", Dtype::BF16, &[2], vec![0x80u8, 0x3f, 0x00, 0x40]); // 1.0, 2.0
    list
}

#[test]
fn tensors_come_back_bit_for_bit_and_uncopied() {
    let dir = tempfile::tempdir().unwrap();
    let file = TensorFile::open(write(dir.path(), &sample()).unwrap()).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b", "none", "half", "flags"]);
    let b = file.f32("b", &[2, 3]).unwrap();
    assert!(matches!(b, Cow::Borrowed(_)));
    let bits: Vec<u32> = b.iter().map(|x| x.to_bits()).collect();
    assert_eq!(bits, [0.0f32, -1.5, f32::MIN_POSITIVE, 3.25, 1e30, -0.0].map(f32::to_bits));
    assert_eq!(*file.f32("a", &[]).unwrap(), [7.0]);
    assert!(file.f32("none", &[0, 4]).unwrap().is_empty());
    assert_eq!(file.expect("flags", Dtype::I8, &[3]).unwrap().bytes, [1, 255, 3]);
}

#[test]
fn the_bytes_are_those_of_the_safetensors_crate() {
    let dir = tempfile::tempdir().unwrap();
    let ours = fs::read(write(dir.path(), &sample()).unwrap()).unwrap();
    let list = sample();
    let bytes: Vec<_> = (0..list.tensors.len()).map(|i| list.bytes(i).unwrap()).collect();
    let views =
        list.specs().into_iter().zip(&bytes).map(|(spec, bytes)| {
            (spec.name, safetensors::tensor::TensorView::new(spec.dtype, spec.shape, bytes).unwrap())
        });
    assert_eq!(ours, safetensors::serialize(views, None).unwrap());
}

#[test]
fn the_first_tensor_can_be_aligned() {
    let dir = tempfile::tempdir().unwrap();
    for alignment in [8, 64, 4096] {
        let mut folder = FolderWriter::new(dir.path().join("m")).unwrap();
        write_aligned_tensors(&mut folder, "x.safetensors", &sample(), alignment).unwrap();
        let file = TensorFile::open(folder.commit(Existing::Replace).unwrap().join("x.safetensors")).unwrap();
        let range = file.range("a").unwrap();
        assert_eq!((range.start % alignment, range.len()), (0, 4));
        assert_eq!(file.mapped()[range], 7.0f32.to_le_bytes());
        assert_eq!(file.names().count(), 5);
    }
}

#[test]
fn a_mismatch_names_tensor_and_both_shapes() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &sample()).unwrap();
    let file = TensorFile::open(&path).unwrap();
    let at = path.display();
    let shape = file.f32("b", &[3, 2]).unwrap_err();
    assert_eq!(shape.to_string(), format!("{at}: tensor `b` is F32 [2, 3], expected F32 [3, 2]"));
    let dtype = file.f32("half", &[2]).unwrap_err();
    assert_eq!(dtype.to_string(), format!("{at}: tensor `half` is BF16 [2], expected F32 [2]"));
    assert!(matches!(file.view("c").unwrap_err(), Error::NoTensor { .. }));
}

#[test]
fn what_cannot_be_written_is_refused_with_the_tensors_name() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, shape: &[usize], data: Vec<f32>, expected: &str| {
        let mut list = TensorList::new();
        list.push_f32("a", &[1], vec![1.0]);
        list.push_f32(name, shape, data);
        let error = write(dir.path(), &list).unwrap_err().to_string();
        assert!(error.contains(&format!("tensor `{name}`")) && error.ends_with(expected), "{error}");
        assert!(!dir.path().join("m").exists());
    };
    refused("a", &[1], vec![1.0], "the name is taken");
    refused("__metadata__", &[1], vec![1.0], "the name is taken");
    refused("x", &[2, 2], vec![1.0; 3], "12 bytes were given for F32 [2, 2]");
    refused("x", &[usize::MAX, 2], vec![], "is no possible size");
}

#[test]
fn every_truncation_is_an_error_and_says_how_long_the_file_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(write(dir.path(), &sample()).unwrap()).unwrap();
    let path = dir.path().join("cut.safetensors");
    for n in 0..whole.len() {
        fs::write(&path, &whole[..n]).unwrap();
        let error = TensorFile::open(&path).unwrap_err();
        assert!(matches!(error, Error::Files(FilesError::CutShort { found, .. }) if found == n as u64), "{n}: {error}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let expected = format!("is cut short ({} of {} bytes)", whole.len() - 1, whole.len());
    assert!(TensorFile::open(&path).unwrap_err().to_string().ends_with(&expected));
}

#[test]
fn every_flipped_header_byte_is_an_error_or_a_valid_file_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(write(dir.path(), &sample()).unwrap()).unwrap();
    let path = dir.path().join("flipped.safetensors");
    let header = LENGTH_FIELD + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in 0..header {
        for bit in [0, 3, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).unwrap();
            if let Ok(file) = TensorFile::open(&path) {
                for name in file.names() {
                    file.view(name).unwrap();
                }
            }
        }
    }
}

#[test]
fn unaligned_data_of_other_programs_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.safetensors");
    let json = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} "#;
    assert_eq!(json.len() % 4, 3);
    let data: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(&path, [&(json.len() as u64).to_le_bytes()[..], json, &data].concat()).unwrap();
    let file = TensorFile::open(&path).unwrap();
    let w = file.f32("w", &[2]).unwrap();
    assert!(matches!(w, Cow::Owned(_)));
    assert_eq!(*w, [1.5, -2.0]);
}

#[test]
fn a_folder_or_foreign_file_is_no_tensor_file() {
    let dir = tempfile::tempdir().unwrap();
    assert!(TensorFile::open(dir.path()).is_err());
    assert!(matches!(TensorFile::open(dir.path().join("x")).unwrap_err(), Error::Files(FilesError::Missing { .. })));
    let path = dir.path().join("text");
    fs::write(&path, "this is a text file, not tensors").unwrap();
    let error = TensorFile::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("is damaged (its first bytes are not those of a safetensors file)"), "{error}");
}
