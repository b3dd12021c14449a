//! Text in another encoding than UTF-8, decoded as it is read.

use std::io::{BufRead, Read, Result};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};

/// Bytes of text that are decoded at a time.
const CHUNK: usize = 1 << 16;
/// What stands for bytes that are no text: no UTF-8 has it, so whoever reads the line finds it and reads on behind it.
const NO_TEXT: u8 = 0xff;

/// Bytes that show whether a text is in UTF-16: at least, and at most.
const SAMPLE: [usize; 2] = [16, 512];

/// The byte order of a text that begins so and has no byte order mark, where it is certainly UTF-16. In most scripts
/// the high byte of a character is a control that no text has, so three of four bytes in every second place are, and
/// clearly fewer in the other places.
pub fn unmarked(start: &[u8]) -> Option<&'static Encoding> {
    let sample = &start[..start.len().min(SAMPLE[1]) / 2 * 2];
    let control = |byte: &&u8| **byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let controls = |from: usize| sample.iter().skip(from).step_by(2).filter(control).count();
    let (even, odd, units) = (controls(0), controls(1), sample.len() / 2);
    let high = |these: usize, others: usize| 4 * these >= 3 * units && 4 * these >= 4 * others + units;
    match () {
        () if sample.len() < SAMPLE[0] => None,
        () if high(odd, even) => Some(UTF_16LE),
        () if high(even, odd) => Some(UTF_16BE),
        () => None,
    }
}

/// A text as UTF-8: decoded by its byte order mark if that is one of UTF-16, else from the encoding that it is said to
/// be in, else from UTF-16 where it is [`unmarked`], else as it is. A mark stays as U+FEFF.
pub struct Decoded<R> {
    input: R,
    said: Option<&'static Encoding>,
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
    /// Reads `input`, which is in the encoding `said` unless a byte order mark says otherwise.
    pub fn new(input: R, said: Option<&'static Encoding>) -> Self {
        Self { input, said, state: State::Start, text: Vec::new(), taken: 0 }
    }

    /// Decides by what is there to read, and by the first two bytes. The second one is waited for only where the first
    /// begins a mark, which no UTF-8 begins with: who types a line wants its answer before the next.
    fn begin(&mut self) -> Result<()> {
        let buffer = self.input.fill_buf()?;
        let (first, unmarked) = (buffer.first().copied(), unmarked(buffer));
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
        self.state = match marked.or(self.said).or(unmarked) {
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

    use encoding_rs::{SHIFT_JIS, WINDOWS_1252};

    use super::*;

    /// What is read of an input that comes in pieces of `piece` bytes.
    fn read(bytes: &[u8], said: Option<&'static Encoding>, piece: usize) -> Vec<u8> {
        let mut text = Vec::new();
        Decoded::new(BufReader::with_capacity(piece, bytes), said).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn a_byte_order_mark_says_that_a_text_is_utf_16() {
        let text = "\u{feff}für 3 €\r\n𝄞 नमस्ते\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for piece in [1, 2, 3, 7, 4096] {
            for said in [None, Some(WINDOWS_1252)] {
                assert_eq!(read(&little, said, piece), text.as_bytes());
                assert_eq!(read(&big, said, piece), text.as_bytes());
            }
            assert_eq!(read(text.as_bytes(), None, piece), text.as_bytes());
            assert_eq!(
                read(&[b'a', 0xff, b'\n'], None, piece),
                [b'a', 0xff, b'\n'],
                "UTF-8 is for the reader to check"
            );
        }
        for short in [&b""[..], b"\xff", b"\xfe", b"a", b"\xffa", b"\xff\xff"] {
            assert_eq!(read(short, None, 1), short);
        }
    }

    #[test]
    fn utf_16_without_a_mark_is_found_where_it_is_certain() {
        for text in ["Open the file “now”, please: für 3 €.\r\n", "Откройте файл.\n", "ОТКРОЙТЕ ФАЙЛ", "เปิดไฟล์นี้ตอนนี้"]
        {
            let units = || text.encode_utf16();
            let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
            assert_eq!((unmarked(&little), unmarked(&big)), (Some(UTF_16LE), Some(UTF_16BE)), "{text}");
            assert_eq!(unmarked(text.as_bytes()), None, "{text}");
            assert_eq!(read(&little, None, 4096), text.as_bytes());
            assert_eq!(read(&big, None, 4096), text.as_bytes());
        }
        let chinese: Vec<u8> = "现在请打开这个文件。".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let other = [
            &b"a\0b\0"[..],
            b"1\t0\t1\t0\t1\t0\t1\t0\t",
            b"\x1b[1mOpen\x1b[0m the file",
            b"a\0b\0c\0 Open the file",
            &chinese,
        ];
        assert!(other.iter().all(|bytes| unmarked(bytes).is_none()));
        assert_eq!(unmarked(&[0; 64]), None, "neither byte order");
    }

    #[test]
    fn other_encodings_are_those_that_are_said() {
        assert_eq!(read(b"f\xfcr 3 \x80\n", Some(WINDOWS_1252), 1), "für 3 €\n".as_bytes());
        assert_eq!(read(b"\x93\xfa\x96{\n", Some(SHIFT_JIS), 1), "日本\n".as_bytes());
        assert_eq!(read(&[b'a', 0, b'\n', 0], Some(UTF_16LE), 3), b"a\n");
    }

    #[test]
    fn what_is_no_text_is_not_lost_but_found_by_whoever_reads_the_line() {
        let units = [0xfeff, 0x61, 0xd800, 0x0a, 0x62, 0x0a];
        let mut bytes: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&bytes, None, 3), b"\xef\xbb\xbfa\xff\nb\n");
        bytes.push(b'c');
        assert_eq!(read(&bytes, None, 4096), b"\xef\xbb\xbfa\xff\nb\n\xff", "half a unit");
        assert_eq!(read(b"\x93", Some(SHIFT_JIS), 1), b"\xff");
    }

    #[test]
    fn a_text_is_read_chunk_by_chunk() {
        let text = format!("\u{feff}{}", "für €\n".repeat(3 * CHUNK));
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut decoded = Decoded::new(&bytes[..], None);
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
        Decoded::new(BufReader::new(Once(true)), None).read_line(&mut line).unwrap();
        assert_eq!(line, "\n");
    }
}
