//! The run's log: one JSON object a line, only ever appended to, each line written at once.
//!
//! ```text
//! {"update":100,"event":"train","time":1700000000.250,"loss":4.31,"tokens_per_second":3120}
//! ```
//!
//! A killed run has logged updates that are after its last checkpoint. On resuming they are done again, so their lines
//! are cut off first: a resumed run has one clean curve.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use strata_files::Error;

/// An open log.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
    length: u64,
}

/// One line; `fields` must serialize to an object and should not have keys of these names.
#[derive(Serialize)]
struct Line<'a, T> {
    update: u64,
    event: &'a str,
    time: f64,
    #[serde(flatten)]
    fields: &'a T,
}

impl EventLog {
    /// Opens the log of a new run; earlier content is removed.
    pub fn create(path: impl AsRef<Path>) -> Result<EventLog, Error> {
        let log = EventLog::open(path.as_ref())?;
        log.file.set_len(0).map_err(|e| Error::io("write", &log.path, e))?;
        Ok(EventLog { length: 0, ..log })
    }

    /// Opens the log of a run that resumes after `update`: cuts off the first line of a later update and all after it,
    /// and an unfinished last line. Also returns the number of bytes cut off. A missing log is created.
    pub fn resume(path: impl AsRef<Path>, update: u64) -> Result<(EventLog, u64), Error> {
        let log = EventLog::open(path.as_ref())?;
        let read = |e| Error::io("read", &log.path, e);
        let before = log.file.metadata().map_err(read)?.len();
        let mut reader = BufReader::new(File::open(&log.path).map_err(read)?);
        let (mut line, mut length) = (Vec::new(), 0);
        loop {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line).map_err(read)? as u64;
            if !line.ends_with(b"\n") || update_of(&line).is_some_and(|u| u > update) {
                break;
            }
            length += bytes;
        }
        if length < before {
            log.file.set_len(length).map_err(|e| Error::io("write", &log.path, e))?;
        }
        Ok((EventLog { length, ..log }, before - length))
    }

    fn open(path: &Path) -> Result<EventLog, Error> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Ok(EventLog { path: path.to_path_buf(), file: file.map_err(|e| Error::io("write", path, e))?, length: 0 })
    }

    /// Appends a line: `event` says its kind (`train`, `valid`), `fields` are the figures. Numbers that
    /// are not finite become `null`, as JSON has no others. Once this returns, a kill of the process loses nothing;
    /// for a power failure see [`EventLog::sync`].
    pub fn write(&mut self, update: u64, event: &str, fields: &impl Serialize) -> Result<(), Error> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_millis() as f64 / 1e3);
        let mut line = serde_json::to_vec(&Line { update, event, time, fields })
            .map_err(|e| Error::io("write", &self.path, e.into()))?;
        line.push(b'\n');
        if let Err(e) = self.file.write_all(&line) {
            let _ = self.file.set_len(self.length); // no torn line; resuming would cut one off anyway
            return Err(Error::io("write", &self.path, e));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Waits until all lines are on the disk. Called before a checkpoint is saved, it keeps the log from falling
    /// behind the checkpoint in a power failure.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| Error::io("write", &self.path, e))
    }
}

/// The update of a line, if it is a line of ours.
fn update_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Update {
        update: u64,
    }
    serde_json::from_slice::<Update>(line).ok().map(|line| line.update)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::fs;

    fn lines(path: &Path) -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    #[test]
    fn a_line_holds_update_event_time_and_the_figures_in_order() {
        #[derive(Serialize)]
        struct Figures {
            loss: f32,
            bad: f64,
            per_expert: Vec<f32>,
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let mut log = EventLog::create(&path).unwrap();
        log.write(7, "train", &Figures { loss: 4.25, bad: f64::NAN, per_expert: vec![0.5, 0.5] }).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"update":7,"event":"train","time":"#), "{text}");
        assert!(text.ends_with("\"loss\":4.25,\"bad\":null,\"per_expert\":[0.5,0.5]}\n"), "{text}");
        assert!(lines(&path)[0]["time"].as_f64().unwrap() > 1.6e9);
        assert!(log.write(8, "train", &5).is_err());
        drop(EventLog::create(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn resuming_leaves_one_clean_curve() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let mut log = EventLog::create(&path).unwrap();
        for update in 1..=9 {
            log.write(update, "train", &json!({"run": 1})).unwrap();
            if update % 3 == 0 {
                log.write(update, "valid", &json!({"run": 1})).unwrap();
            }
        }
        log.sync().unwrap();
        drop(log);
        // The process died while it wrote update 10:
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"update\":10,\"ev").unwrap();
        let (mut log, cut) = EventLog::resume(&path, 6).unwrap();
        assert!(cut > 0);
        for update in 7..=10 {
            log.write(update, "train", &json!({"run": 2})).unwrap();
        }
        let read: Vec<_> = lines(&path).iter().map(|l| (l["update"].as_u64(), l["run"].as_u64())).collect();
        let expected =
            [(1, 1), (2, 1), (3, 1), (3, 1), (4, 1), (5, 1), (6, 1), (6, 1), (7, 2), (8, 2), (9, 2), (10, 2)];
        assert_eq!(read, expected.map(|(u, r)| (Some(u), Some(r))));
        drop(log);
        let (_, cut) = EventLog::resume(&path, 10).unwrap();
        assert_eq!(cut, 0);
    }

    #[test]
    fn only_a_torn_last_line_and_later_updates_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let resumed = |text: &str, update: u64| {
            fs::write(&path, text).unwrap();
            let cut = EventLog::resume(&path, update).unwrap().1;
            let left = fs::read_to_string(&path).unwrap();
            assert_eq!(cut as usize, text.len() - left.len());
            left
        };
        assert_eq!(resumed("", 5), "");
        assert_eq!(resumed("{\"update\":1}\n{\"update\":2", 5), "{\"update\":1}\n");
        // A complete line that is not ours is somebody's note: it stays.
        assert_eq!(resumed("note\n{\"update\":1}\n", 5), "note\n{\"update\":1}\n");
        assert_eq!(resumed("{\"update\":6}\nnote\n{\"update\":1}\n", 5), "");
        assert_eq!(resumed("{\"update\":5}\n\u{0}\u{0}\u{0}", 5), "{\"update\":5}\n");
        fs::remove_file(&path).unwrap();
        EventLog::resume(&path, 5).unwrap();
        assert!(path.exists());
        let error = EventLog::create(dir.path().join("no/log.jsonl")).unwrap_err().to_string();
        assert!(error.contains("no/log.jsonl: there is no folder"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named() {
        let mut log = EventLog::open(Path::new("/dev/full")).unwrap();
        let error = log.write(1, "train", &json!({})).unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    }
}
