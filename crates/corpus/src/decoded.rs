//! Text in UTF-16, decoded as it is read.

use std::io::{BufRead, Read, Result};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};

/// Bytes of text that are decoded at a time.
const CHUNK: usize = 1 << 16;
/// What stands for bytes that are no text: no UTF-8 has it, so whoever reads the line finds it and reads on behind it.
const NO_TEXT: u8 = 0xff;

/// A text as UTF-8: decoded where its byte order mark is one of UTF-16, else as it is. The mark stays as U+FEFF.
pub struct Decoded<R> {
    input: R,
    state: State,
    /// Decoded and not yet read text, from `taken` on.
    text: Vec<u8>,
    taken: usize,
}

enum State {
    /// Nothing is read yet.
    Start,
    /// The input is handed on as it is.
    AsIs,
    Decoding(Decoder),
    /// All is decoded.
    End,
}

impl<R: BufRead> Decoded<R> {
    /// Reads `input`.
    pub fn new(input: R) -> Self {
        Self { input, state: State::Start, text: Vec::new(), taken: 0 }
    }

    /// Decides by the first two bytes. The second one is waited for only where the first begins a mark, which no UTF-8
    /// begins with: who types a line wants its answer before the next.
    fn begin(&mut self) -> Result<()> {
        let first = self.input.fill_buf()?.first().copied();
        let mut start = Vec::new();
        if let Some(byte @ (0xfe | 0xff)) = first {
            start.push(byte);
            self.input.consume(1);
            start.extend(self.input.fill_buf()?.first());
            self.input.consume(start.len() - 1);
        }
        let marked = match start[..] {
            [0xff, 0xfe] => Some(UTF_16LE),
            [0xfe, 0xff] => Some(UTF_16BE),
            _ => None,
        };
        self.state = match marked {
            Some(encoding) => State::Decoding(encoding.new_decoder_without_bom_handling()),
            None => State::AsIs,
        };
        match self.state {
            State::Decoding(_) => self.decode(&start, false),
            _ => self.text = start,
        }
        Ok(())
    }

    /// Decodes bytes behind what is decoded.
    fn decode(&mut self, mut bytes: &[u8], last: bool) {
        let State::Decoding(decoder) = &mut self.state else { return };
        loop {
            let length = self.text.len();
            // Enough for three bytes of UTF-8 for each byte, and what the decoder asks for besides.
            self.text.resize(length + 3 * bytes.len() + 16, 0);
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(bytes, &mut self.text[length..], last);
            self.text.truncate(length + written);
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.text.push(NO_TEXT),
            }
        }
        if last {
            self.state = State::End;
        }
    }
}

impl<R: BufRead> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if matches!(self.state, State::Start) {
            self.begin()?;
        }
        while self.taken == self.text.len() {
            self.taken = 0;
            self.text.clear();
            match self.state {
                State::AsIs => return self.input.fill_buf(),
                State::End | State::Start => break,
                State::Decoding(_) => {
                    let bytes = self.input.fill_buf()?;
                    let bytes = bytes[..bytes.len().min(CHUNK)].to_vec();
                    self.input.consume(bytes.len());
                    self.decode(&bytes, bytes.is_empty());
                }
            }
        }
        Ok(&self.text[self.taken..])
    }

    fn consume(&mut self, count: usize) {
        if self.taken < self.text.len() {
            self.taken += count;
        } else if matches!(self.state, State::AsIs) {
            self.input.consume(count);
        }
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// What is read of an input that comes in pieces of `piece` bytes.
    fn read(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut text = Vec::new();
        Decoded::new(BufReader::with_capacity(piece, bytes)).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn a_byte_order_mark_says_that_a_text_is_utf_16() {
        let text = "\u{feff}für 3 €\r\n𝄞 नमस्ते\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for piece in [1, 2, 3, 7, 4096] {
            assert_eq!(read(&little, piece), text.as_bytes());
            assert_eq!(read(&big, piece), text.as_bytes());
            assert_eq!(read(text.as_bytes(), piece), text.as_bytes());
            assert_eq!(read(b"a\xff\n", piece), b"a\xff\n", "UTF-8 is for the reader to check");
        }
        for short in [&b""[..], b"\xff", b"\xfe", b"a", b"\xffa", b"\xff\xff"] {
            assert_eq!(read(short, 1), short);
        }
    }

    #[test]
    fn what_is_no_text_is_not_lost_but_found_by_whoever_reads_the_line() {
        let units = [0xfeff, 0x61, 0xd800, 0x0a, 0x62, 0x0a];
        let mut bytes: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&bytes, 3), b"\xef\xbb\xbfa\xff\nb\n");
        bytes.push(b'c');
        assert_eq!(read(&bytes, 4096), b"\xef\xbb\xbfa\xff\nb\n\xff", "half a unit");
    }

    #[test]
    fn a_text_is_read_chunk_by_chunk() {
        let text = format!("\u{feff}{}", "für €\n".repeat(3 * CHUNK));
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut decoded = Decoded::new(&bytes[..]);
        let mut found = Vec::new();
        while decoded.read_until(b'\n', &mut found).unwrap() > 0 {
            assert!(decoded.text.capacity() <= 8 * CHUNK, "{}", decoded.text.capacity());
        }
        assert!(found == text.as_bytes());
    }

    #[test]
    fn nothing_is_waited_for_behind_a_line() {
        struct Once(bool);
        impl Read for Once {
            fn read(&mut self, into: &mut [u8]) -> Result<usize> {
                assert!(self.0, "a second line is waited for");
                self.0 = false;
                into[0] = b'\n';
                Ok(1)
            }
        }
        let mut line = String::new();
        Decoded::new(BufReader::new(Once(true))).read_line(&mut line).unwrap();
        assert_eq!(line, "\n");
    }
}
