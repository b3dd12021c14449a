//! Gzip files of several members, with zeros behind the last, by which copies of tapes and disks fill their blocks.

use std::io::{BufRead, Read, Result};

use flate2::bufread::GzDecoder;

/// Decompresses a gzip file.
pub struct Gunzip<R> {
    /// None behind the last member.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    /// Decompresses `input`.
    pub fn new(input: R) -> Self {
        Self { member: Some(GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            let rest = self.member.take().map(GzDecoder::into_inner);
            self.member = rest.map(skip_zeros).transpose()?.flatten().map(GzDecoder::new);
        }
        Ok(0)
    }
}

/// What is behind zeros; none if nothing is.
fn skip_zeros<R: BufRead>(mut input: R) -> Result<Option<R>> {
    loop {
        let bytes = input.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let (is_end, is_done) = (bytes.is_empty(), zeros < bytes.len());
        input.consume(zeros);
        if is_end || is_done {
            return Ok(is_done.then_some(input));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use super::*;

    fn member(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<String> {
        let mut text = String::new();
        Gunzip::new(BufReader::with_capacity(7, bytes)).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn members_are_read_one_after_another_and_padding_is_no_member() {
        let (one, two, zeros) = (member("one\n"), member("two\n"), vec![0; 1000]);
        assert_eq!(read(&one).unwrap(), "one\n");
        assert_eq!(read(&[&one[..], &two].concat()).unwrap(), "one\ntwo\n");
        assert_eq!(read(&[&one[..], &two, &zeros].concat()).unwrap(), "one\ntwo\n");
        assert_eq!(read(&member("")).unwrap(), "");
    }

    #[test]
    fn what_is_cut_off_or_no_member_is_an_error() {
        let one = member("one\n");
        for bytes in [&one[..one.len() - 1], &[&one[..], b"rest"].concat(), b"", b"text", &[0; 20]] {
            assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
