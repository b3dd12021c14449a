//! TensorBoard event files: scalar curves that `tensorboard --logdir RUN/tensorboard` shows.
//!
//! An event file is a sequence of records, each `u64` length, masked CRC-32C of the length, the bytes, masked CRC-32C
//! of the bytes ([TFRecord](https://www.tensorflow.org/tutorials/load_data/tfrecord)). The bytes are an `Event` message
//! of [event.proto](https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto), of
//! which only the few fields used here are written.
//!
//! A run that starts anew or resumes writes a further file beside those of the killed run. It begins with a session
//! start at the first update that is done again: TensorBoard then drops what was logged from there on.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use strata_files::Error;

/// An open event file.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    length: u64,
}

impl TensorBoard {
    /// Starts the curves of a new run in the folder `dir`, which is created if missing: TensorBoard no longer shows
    /// what earlier files of the folder hold.
    pub fn create(dir: impl AsRef<Path>) -> Result<TensorBoard, Error> {
        TensorBoard::begin(dir.as_ref(), 0)
    }

    /// Continues after `update`: TensorBoard no longer shows what earlier files of the folder hold of later updates.
    pub fn resume(dir: impl AsRef<Path>, update: u64) -> Result<TensorBoard, Error> {
        TensorBoard::begin(dir.as_ref(), update.saturating_add(1))
    }

    /// A new file, in place of what earlier ones hold from the update `first` on.
    fn begin(dir: &Path, first: u64) -> Result<TensorBoard, Error> {
        fs::create_dir_all(dir).map_err(|e| Error::io("make the folder", dir, e))?;
        // TensorBoard reads a folder's files in the order of their names, so this one must come after all earlier
        // ones, even if they are of the same second or the clock was set back.
        let mut latest = None;
        for entry in fs::read_dir(dir).map_err(|e| Error::io("list", dir, e))? {
            let name = entry.map_err(|e| Error::io("list", dir, e))?.file_name();
            let earlier = name.to_str().and_then(|n| n.strip_prefix("events.out.tfevents.")?.split('.').next());
            latest = latest.max(earlier.and_then(|second| second.parse::<u64>().ok()));
        }
        let second = latest.map_or(0, |latest| latest.saturating_add(1)).max(now() as u64);
        let path = dir.join(format!("events.out.tfevents.{second:010}.strata.{}", process::id()));
        // Appending, so that after a failed write was taken back the next one follows without a gap.
        let file =
            File::options().append(true).create_new(true).open(&path).map_err(|e| Error::io("write", &path, e))?;
        let mut board = TensorBoard { path, file, length: 0 };
        let mut start = record(&file_version(now()));
        if latest.is_some() {
            start.extend(record(&session_start(now(), first)));
        }
        board.append(&start)?;
        Ok(board)
    }

    /// Appends the points `(tag, value)` at `update`. A `/` in a tag groups curves: `train/loss`, `valid/loss`.
    /// Once this returns, a kill of the process loses nothing.
    pub fn scalars(&mut self, update: u64, points: &[(&str, f32)]) -> Result<(), Error> {
        self.append(&record(&scalars(now(), update, points)))
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Err(e) = self.file.write_all(bytes) {
            // A torn record would hide all that is appended after it.
            let _ = self.file.set_len(self.length);
            return Err(Error::io("write", &self.path, e));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

/// The event that every file begins with.
fn file_version(time: f64) -> Vec<u8> {
    let mut event = event(time, 0);
    field(&mut event, 3, b"brain.Event:2");
    event
}

/// The event that makes TensorBoard drop all points of earlier files at `step` or later.
fn session_start(time: f64, step: u64) -> Vec<u8> {
    let mut event = event(time, step);
    field(&mut event, 7, &[1 << 3, 1]); // SessionLog { status (field 1): START (1) }
    event
}

fn scalars(time: f64, step: u64, points: &[(&str, f32)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in points {
        let mut point = Vec::new();
        field(&mut point, 1, tag.as_bytes());
        point.push(2 << 3 | 5); // simple_value, 4 bytes
        point.extend(value.to_le_bytes());
        field(&mut summary, 1, &point);
    }
    let mut event = event(time, step);
    field(&mut event, 5, &summary);
    event
}

/// `Event { wall_time (1): double, step (2): int64 }`; zero is not written, as protobuf's own writers do.
fn event(time: f64, step: u64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(time.to_le_bytes());
    if step > 0 {
        event.push(2 << 3);
        varint(&mut event, step);
    }
    event
}

/// A string or message of the field `number` (below 16).
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), event, &masked_crc(event)].concat()
}

/// CRC-32C, rotated and shifted so that checksums of data that holds checksums stay good.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by TensorBoard 2.21's own protobuf classes and checksums.
    const GOLDEN: [&str; 3] = [
        "1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9",
        "100000000000000095fbfe180900001040fc54d94110f5033a020801a58d7e44",
        "4800000000000000fe92489d0900006040fc54d9411087ad4b2a390a110a0a747261696e2f6c6f73731500008a400a170a104c6572\
         6e726174652f6772c3b6c39f651517b7d1380a0b0a047a65726f15000000002a434151",
    ];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn records_are_byte_for_byte_tensorboards() {
        let time = 1_700_000_000.25;
        assert_eq!(hex(&record(&file_version(time))), GOLDEN[0]);
        assert_eq!(hex(&record(&session_start(time, 501))), GOLDEN[1]);
        let points = [("train/loss", 4.3125), ("Lernrate/größe", 1e-4), ("zero", 0.0)];
        assert_eq!(hex(&record(&scalars(1_700_000_001.5, 1_234_567, &points))), GOLDEN[2]);
    }

    #[test]
    fn a_run_that_starts_anew_purges_all_that_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let ends = |board: &TensorBoard| {
            let bytes = hex(&fs::read(board.path()).unwrap());
            bytes[..bytes.len() - 8].to_string()
        };
        let first = TensorBoard::create(&dir).unwrap();
        assert!(ends(&first).ends_with(&hex(b"brain.Event:2")), "there is nothing to purge yet");
        drop(first);
        // Killed before its first checkpoint. An event without a step is one of step 0.
        let again = ends(&TensorBoard::create(&dir).unwrap());
        let start = session_start(0.0, 0);
        assert!(again.ends_with(&hex(&start[9..])) && start.len() == 9 + 4, "no session start at 0: {again}");
    }

    #[test]
    fn a_resumed_run_writes_a_later_file_that_purges_what_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tensorboard");
        let mut first = TensorBoard::create(&dir).unwrap();
        first.scalars(1, &[("loss", 9.0)]).unwrap();
        let begun = fs::metadata(first.path()).unwrap().len();
        first.scalars(2, &[("loss", 8.0), ("rate", 0.1)]).unwrap();
        assert!(fs::metadata(first.path()).unwrap().len() > begun);
        let mut earlier = first.path().to_path_buf();
        for _ in 0..3 {
            let next = TensorBoard::resume(&dir, 500).unwrap();
            assert!(next.path() > earlier.as_path());
            earlier = next.path().to_path_buf();
        }
        let bytes = hex(&fs::read(&earlier).unwrap());
        assert!(bytes.ends_with(&format!("10f5033a020801{}", &bytes[bytes.len() - 8..])), "no session start at 501");
        assert!(TensorBoard::create(earlier.join("below a file")).is_err());
    }
}
