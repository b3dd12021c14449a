//! Translated files that wait for their clients, in memory, for a limited time and up to a limited size.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::body::Bytes;

use crate::api::random::name;
use crate::lock::lock;

/// How long a file waits.
const KEPT: Duration = Duration::from_secs(600);
/// Bytes of all files together; beyond that the oldest go.
const MOST_BYTES: usize = 64 << 20;

/// Files by name. Names cannot be guessed.
#[derive(Debug, Default)]
pub struct Downloads {
    files: Mutex<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    name: String,
    content: Bytes,
    since: Instant,
}

impl Downloads {
    /// Keeps a file and returns its name, which ends in `suffix`.
    ///
    /// # Errors
    /// A system without random numbers.
    pub fn keep(&self, suffix: &str, content: Vec<u8>) -> Result<String, String> {
        let name = name()? + suffix;
        let mut files = lock(&self.files);
        let now = Instant::now();
        files.push_back(Waiting { name: name.clone(), content: content.into(), since: now });
        files.retain(|file| now.duration_since(file.since) < KEPT);
        while files.len() > 1 && files.iter().map(|file| file.content.len()).sum::<usize>() > MOST_BYTES {
            files.pop_front();
        }
        Ok(name)
    }

    /// A file, if it is still there.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        let files = lock(&self.files);
        let fits = |file: &&Waiting| file.name == name && file.since.elapsed() < KEPT;
        files.iter().find(fits).map(|file| file.content.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_their_own_name_and_the_oldest_make_room() {
        let downloads = Downloads::default();
        let first = downloads.keep(".de.txt", vec![b'a'; MOST_BYTES]).unwrap();
        assert_eq!(downloads.get(&first).unwrap().len(), MOST_BYTES);
        let second = downloads.keep(".de.txt", b"b".to_vec()).unwrap();
        assert!(first != second && second.ends_with(".de.txt") && second.len() > 32);
        assert_eq!((downloads.get(&first), downloads.get(&second)), (None, Some("b".into())));
        assert_eq!(downloads.get("../etc/passwd"), None);
    }
}
