//! API keys and their rates. The key file holds the SHA-256 of each key, so reading it gives nobody a key. Keys are
//! long and random, so a fast hash is enough.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::error::{Answer, ApiError, Error, KeyFault};
use crate::lock::lock;

/// The keys of a key file.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<Key>,
    buckets: Mutex<HashMap<usize, Bucket>>,
}

#[derive(Debug)]
struct Key {
    name: String,
    hash: [u8; 32],
    /// Requests per minute; 0 for no limit.
    rate: u32,
    /// Characters translated since the server's start.
    characters: AtomicU64,
}

/// A token bucket: the requests that a key may still send; it fills up with time.
#[derive(Debug)]
struct Bucket {
    requests: f64,
    at: Instant,
}

/// Who a request is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    place: usize,
    /// The key's name.
    pub name: String,
}

/// A new key, and its line for the key file.
///
/// # Errors
/// An empty name or one with white space; a system without random numbers.
pub fn new_key(name: &str, rate: u32) -> Result<(String, String), Error> {
    if name.is_empty() || name.contains(char::is_whitespace) || name.starts_with('#') {
        return Err(Error::Settings(format!("`{name}` is no name of a key; give a word")));
    }
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|e| Error::Settings(format!("the system gives no random numbers: {e}")))?;
    let key = hex(&bytes);
    let line = format!("{name} {} {rate}", hex(&hash(&key)));
    Ok((key, line))
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl Key {
    fn parse(line: &str) -> Result<Self, KeyFault> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, hash, rate] = fields.as_slice() else { return Err(KeyFault::Form) };
        Ok(Self {
            name: (*name).to_string(),
            hash: unhex(hash).ok_or(KeyFault::Hash)?,
            rate: rate.parse().map_err(|_| KeyFault::Rate((*rate).to_string()))?,
            characters: AtomicU64::new(0),
        })
    }
}

impl Keys {
    /// Reads a file of lines `NAME SHA256 REQUESTS_PER_MINUTE`; skips empty lines and those that begin with `#`.
    ///
    /// # Errors
    /// A file that cannot be read; the first malformed line, by its number; [`Error::NoKeys`] for a file without a
    /// key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = strata_files::read_text(path)?;
        let path = || path.to_path_buf();
        let keys = Self::parse(&text).map_err(|(line, fault)| Error::KeyLine { path: path(), line, fault })?;
        if keys.keys.is_empty() { Err(Error::NoKeys { path: path() }) } else { Ok(keys) }
    }

    /// The keys in the text of a key file; for a line that cannot be used, its number and its fault.
    fn parse(text: &str) -> Result<Self, (usize, KeyFault)> {
        let mut keys: Vec<Key> = Vec::new();
        for (i, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Key::parse(line).map_err(|fault| (i + 1, fault))?;
            if keys.iter().any(|earlier| earlier.name == key.name) {
                return Err((i + 1, KeyFault::SecondName(key.name)));
            }
            keys.push(key);
        }
        Ok(Self { keys, buckets: Mutex::default() })
    }

    /// The client of a key.
    ///
    /// # Errors
    /// 403 for a missing or wrong key.
    pub fn client(&self, key: Option<&str>) -> Answer<Client> {
        let key = key.ok_or_else(|| ApiError::forbidden("this server asks for an API key; none was given"))?;
        let hash = hash(key);
        // Every key is compared, in constant time, so that timing reveals nothing.
        let (mut found, mut place) = (Choice::from(0), 0u64);
        for (i, known) in self.keys.iter().enumerate() {
            let same = known.hash.ct_eq(&hash);
            place = u64::conditional_select(&place, &(i as u64), same);
            found |= same;
        }
        if !bool::from(found) {
            return Err(ApiError::forbidden("Invalid API key"));
        }
        let place = place as usize;
        Ok(Client { place, name: self.keys[place].name.clone() })
    }

    /// Takes a request of a client, if the key's rate allows another.
    ///
    /// # Errors
    /// 429 beyond the rate.
    pub fn admit(&self, client: &Client) -> Answer<()> {
        self.admit_at(client, Instant::now())
    }

    fn admit_at(&self, Client { place, .. }: &Client, now: Instant) -> Answer<()> {
        match self.keys[*place].rate {
            0 => Ok(()),
            rate => self.take(*place, f64::from(rate), now),
        }
    }

    fn take(&self, place: usize, per_minute: f64, now: Instant) -> Answer<()> {
        let mut buckets = lock(&self.buckets);
        let bucket = buckets.entry(place).or_insert(Bucket { requests: per_minute, at: now });
        let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.requests = (bucket.requests + seconds * per_minute / 60.0).min(per_minute);
        bucket.at = now;
        if bucket.requests < 1.0 {
            let wait = ((1.0 - bucket.requests) * 60.0 / per_minute).ceil() as u64;
            return Err(ApiError::busy(format!("this key may send {per_minute} requests per minute"), wait.max(1)));
        }
        bucket.requests -= 1.0;
        Ok(())
    }

    /// Counts characters that a client has had translated.
    pub fn count(&self, client: &Client, characters: usize) {
        self.keys[client.place].characters.fetch_add(characters as u64, Ordering::Relaxed);
    }

    /// Characters that a client has had translated since the server's start.
    pub fn characters(&self, client: &Client) -> u64 {
        self.keys[client.place].characters.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn keys_are_known_by_their_hash_and_wrong_ones_refused() {
        let (key, line) = new_key("alice", 0).unwrap();
        let (other, other_line) = new_key("bob", 5).unwrap();
        assert!(key.len() == 48 && key != other && !line.contains(&key));
        let keys = Keys::parse(&format!("# ours\n\n{line}\n{other_line}\n")).unwrap();
        assert_eq!(keys.client(Some(&key)).unwrap().name, "alice");
        let bob = keys.client(Some(&other)).unwrap();
        assert_eq!(bob.name, "bob");
        keys.count(&bob, 7);
        keys.count(&bob, 5);
        assert_eq!(keys.characters(&bob), 12);
        for wrong in [None, Some(""), Some("alice"), Some(&key[1..]), Some(line.split(' ').nth(1).unwrap())] {
            assert_eq!(keys.client(wrong).unwrap_err().status, StatusCode::FORBIDDEN, "{wrong:?}");
        }
        assert!(new_key("a b", 0).is_err() && new_key("", 0).is_err());
    }

    #[test]
    fn rates_hold_and_recover() {
        let (key, line) = new_key("alice", 3).unwrap();
        let keys = Keys::parse(&line).unwrap();
        let (alice, now) = (keys.client(Some(&key)).unwrap(), Instant::now());
        (0..3).for_each(|_| assert!(keys.admit_at(&alice, now).is_ok()));
        let refused = keys.admit_at(&alice, now).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (StatusCode::TOO_MANY_REQUESTS, Some(20)));
        assert!(keys.admit_at(&alice, now + Duration::from_secs(21)).is_ok());
        assert!(keys.admit_at(&alice, now + Duration::from_secs(22)).is_err());
    }

    #[test]
    fn a_file_without_a_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for text in ["", "\n", "# alice left\n\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(Keys::read(&path), Err(Error::NoKeys { .. })), "{text:?}");
        }
        std::fs::write(&path, new_key("bob", 0).unwrap().1).unwrap();
        assert!(Keys::read(&path).is_ok());
    }

    #[test]
    fn a_malformed_line_is_named() {
        let good = new_key("a", 1).unwrap().1;
        for (text, line, word) in [
            ("alice".to_string(), 1, "NAME SHA256"),
            (format!("{good}\nb 12 3"), 2, "SHA-256"),
            (format!("{good}\n{good}"), 2, "second key named `a`"),
            (good.strip_suffix(" 1").unwrap().to_string() + " fast", 1, "`fast`"),
        ] {
            let (at, fault) = Keys::parse(&text).unwrap_err();
            assert!(at == line && fault.to_string().contains(word), "{at} {fault}");
        }
    }
}
