//! `strata serve` over days: models unloaded and changed under it, names that it is called by, floods, and Word
//! documents.

mod common;

use std::io::Read;
use std::time::{Duration, Instant};

use common::http::{self, Server, TEXT, folder, get, post, raw, translated};
use common::python;
use serde_json::{Value, json};

fn ask(model: &str) -> Value {
    json!({ "q": TEXT, "source": "en", "target": "qaa", "model": model })
}

fn is_loaded(server: &Server, name: &str) -> bool {
    get(server, "/metrics").body.contains(&format!("strata_model_loaded{{model=\"{name}\"}} 1"))
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "not in 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn models_that_nobody_asks_for_are_unloaded_and_come_back() {
    let here = folder("upkeep-unload");
    let server = Server::start(&here, "../served/run --unload-after 1 --preload");
    assert!(is_loaded(&server, "run"));
    until("it is unloaded", || !is_loaded(&server, "run"));
    let found = post(&server, "/translate", &ask("run"));
    assert_eq!(found.json(), json!({ "translatedText": translated(&here, TEXT, "") }));
    assert!(is_loaded(&server, "run"));
    assert!(server.stop().err.contains("unloaded: nobody asked for it"));
}

#[test]
fn only_so_many_models_are_loaded_and_the_one_asked_for_longest_ago_goes() {
    let here = folder("upkeep-most");
    let server = Server::start(&here, "a=../served/run b=../served/run c=../run --max-loaded 2 --preload");
    let loaded = || ["a", "b", "c"].map(|name| is_loaded(&server, name));
    assert_eq!(loaded(), [true, true, false]);
    assert_eq!(post(&server, "/translate", &ask("a")).status, 200);
    assert_eq!(post(&server, "/translate", &ask("c")).status, 200);
    assert_eq!(loaded(), [true, false, true]);
    assert_eq!(post(&server, "/translate", &ask("b")).status, 200);
    assert_eq!(loaded(), [false, true, true]);
}

#[test]
fn a_model_file_that_is_cut_short_or_written_over_is_that_models_end_alone() {
    let here = folder("upkeep-cut");
    here.strata("export ../served/run --output cut").succeeds();
    here.strata("export ../served/run --output idle").succeeds();
    let server = Server::start(&here, "cut=cut idle=idle ok=../served/run --preload --beam 48 --max-characters 100000");
    let parts = |model: &str| here.path(model).join("packed.safetensors");
    let cut = |model: &str| std::fs::OpenOptions::new().write(true).open(parts(model)).unwrap().set_len(4096).unwrap();
    let good = std::fs::read(parts("cut")).unwrap();
    // While it computes: the pages that it reads are gone.
    let mut long = ask("cut");
    long["q"] = "The old dog sees the cat in the garden. ".repeat(400).into();
    let answer = std::thread::scope(|scope| {
        let asked = scope.spawn(|| post(&server, "/translate", &long));
        until("the request is under way", || {
            get(&server, "/metrics").body.contains("strata_queue_sentences{model=\"cut\"} 400")
        });
        cut("cut");
        asked.join().unwrap()
    });
    assert!(answer.status == 500 && answer.body.contains("loaded again"), "{} {}", answer.status, answer.body);
    assert_eq!(post(&server, "/translate", &ask("cut")).status, 500, "it is still damaged");
    assert_eq!(post(&server, "/translate", &ask("ok")).status, 200);
    // While nobody asks for it.
    cut("idle");
    let answer = post(&server, "/translate", &ask("idle"));
    assert!(answer.status == 500 && answer.body.contains("cannot be loaded"), "{} {}", answer.status, answer.body);
    // One bit of the same file, in the same length: there is no telling but by its checksum.
    std::fs::write(parts("idle"), &good).unwrap();
    assert_eq!(post(&server, "/translate", &ask("idle")).status, 200);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    std::fs::write(parts("idle"), &flipped).unwrap();
    let answer = post(&server, "/translate", &ask("idle"));
    assert!(answer.status == 500 && answer.body.contains("cannot be loaded"), "{} {}", answer.status, answer.body);
    // Put right again, it is served again. A file that is replaced or removed is another file: the model goes on with
    // its own.
    std::fs::write(parts("cut"), &good).unwrap();
    let wanted = post(&server, "/translate", &ask("ok")).json();
    assert_eq!(post(&server, "/translate", &ask("cut")).json(), wanted);
    here.write("new", &good[..4096]);
    std::fs::rename(here.path("new"), parts("cut")).unwrap();
    assert_eq!(post(&server, "/translate", &ask("cut")).json(), wanted);
    std::fs::remove_file(parts("cut")).unwrap();
    assert_eq!(post(&server, "/translate", &ask("cut")).json(), wanted);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.err.contains("packed.safetensors was changed while it was in use"), "{ended}");
    assert!(ended.err.contains("packed.safetensors is damaged (checksum differs)"), "{ended}");
}

#[test]
fn on_loopback_other_names_are_refused_unless_they_are_allowed() {
    let here = folder("upkeep-hosts");
    let server = Server::start(&here, "../served/run --allowed-hosts translate.example.org,other.example.org");
    let as_host = |host: &str| raw(&server, &format!("GET /languages HTTP/1.1\r\nhost: {host}\r\n\r\n")).status;
    for host in ["localhost", "127.0.0.1:5000", "[::1]", "translate.example.org", "Other.Example.Org:443"] {
        assert_eq!(as_host(host), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", ""] {
        assert_eq!(as_host(host), 421, "{host}");
    }
    let whole = raw(&server, "GET http://evil.example/languages HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(whole.status == 421 && whole.body.contains("its operator can allow the name"), "{}", whole.body);
    assert_eq!(raw(&server, "GET /languages HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(raw(&server, "GET /languages HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n").status, 400);
    let open = Server::start(&here, "../served/run --allowed-hosts *");
    assert_eq!(raw(&open, "GET /languages HTTP/1.1\r\nhost: evil.example\r\n\r\n").status, 200);
}

#[test]
fn bodies_are_refused_so_that_the_client_sees_why_and_two_lengths_are_none() {
    let here = folder("upkeep-bodies");
    let server = Server::start(&here, "../served/run --max-body-bytes 10000");
    let head = "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    // All of it is sent before anything is read.
    let body = "x".repeat(8 << 20);
    let by_length = raw(&server, &format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
    let in_chunks =
        raw(&server, &format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    for answer in [by_length, in_chunks] {
        assert!(answer.status == 413 && answer.body.contains("larger than 10000"), "{}", answer.body);
    }
    let second = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for lengths in [
        "content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "content-length: 5\r\ncontent-length: 60\r\n\r\nhello",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    ] {
        let mut stream = http::open(&server, &format!("{head}{lengths}{second}"));
        let said = http::read_all(&mut stream);
        assert!(!said.contains("strata_http") && !said.contains("200 OK"), "{lengths}: {said}");
    }
    let deep = format!("{{\"q\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
    let deep = raw(&server, &format!("{head}content-length: {}\r\n\r\n{deep}", deep.len()));
    assert_eq!(deep.status, 400);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", server.id())).map_or(0, Iterator::count);
    until("all connections are closed", || get(&server, "/metrics").body.contains("strata_http_connections 1"));
    let open = files();
    for _ in 0..50 {
        drop(http::open(&server, "GET /hea"));
    }
    until("what was broken off is closed", || files() <= open);
}

/// A zip archive whose members are stored as they are.
fn stored(members: &[(&str, &str)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let mut crc = flate2::Crc::new();
        crc.update(content.as_bytes());
        let offset = bytes.len() as u32;
        // From the version that is needed to the length of the extra field.
        let mut middle = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let length = content.len() as u32;
        [crc.sum(), length, length].iter().for_each(|n| middle.extend(n.to_le_bytes()));
        middle.extend((name.len() as u16).to_le_bytes());
        middle.extend([0, 0]);
        bytes.extend([b"PK\x03\x04", &middle[..], name.as_bytes(), content.as_bytes()].concat());
        directory
            .extend([b"PK\x01\x02\x14\x00", &middle[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat());
    }
    let (at, length) = (bytes.len() as u32, directory.len() as u32);
    let count = (members.len() as u16).to_le_bytes();
    bytes.extend(
        [&directory[..], b"PK\x05\x06\0\0\0\0", &count, &count, &length.to_le_bytes(), &at.to_le_bytes(), &[0, 0]]
            .concat(),
    );
    bytes
}

/// The members of an archive, by their own headers one after another.
fn members(bytes: &[u8]) -> Vec<(String, String)> {
    let number = |at: usize, width: usize| (0..width).rev().fold(0, |n, i| n << 8 | usize::from(bytes[at + i]));
    let mut found = Vec::new();
    let mut at = 0;
    while bytes[at..].starts_with(b"PK\x03\x04") {
        let (length, name) = (number(at + 18, 4), number(at + 26, 2));
        let start = at + 30 + name + number(at + 28, 2);
        let data = &bytes[start..start + length];
        let mut content = String::new();
        match number(at + 8, 2) {
            0 => content = String::from_utf8(data.to_vec()).unwrap(),
            _ => drop(flate2::read::DeflateDecoder::new(data).read_to_string(&mut content).unwrap()),
        }
        found.push((String::from_utf8(bytes[at + 30..at + 30 + name].to_vec()).unwrap(), content));
        at = start + length;
    }
    found
}

#[test]
fn word_documents_are_translated_paragraph_by_paragraph() {
    let here = folder("upkeep-docx");
    let server = Server::start(&here, "../served/run");
    let wanted = translated(&here, TEXT, "");
    let document = |text: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document xmlns:w=\"urn:w\"><w:body><w:p><w:pPr><w:pStyle w:val=\"A\"/></w:pPr>\
             <w:r><w:rPr><w:i/></w:rPr><w:t xml:space=\"preserve\">{text}</w:t></w:r></w:p><w:p/></w:body></w:document>"
        )
    };
    let styles = "<w:styles>The old dog sees the cat.</w:styles>";
    let of = |text: &str| {
        [
            ("[Content_Types].xml", "<Types/>".to_string()),
            ("word/document.xml", document(text)),
            ("word/styles.xml", styles.into()),
        ]
    };
    let given = of(TEXT);
    let given: Vec<(&str, &str)> = given.iter().map(|(name, content)| (*name, content.as_str())).collect();
    for source in ["en", "auto"] {
        let fields = [("source", source), ("target", "qaa")];
        let answer = http::post_file(&server, "/translate_file", "a.docx", stored(&given), &fields);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let url = answer.json()["translatedFileUrl"].as_str().unwrap().to_string();
        let file = get(&server, url.strip_prefix(&format!("http://{}", server.address)).unwrap());
        assert!(file.header("content-type").unwrap().contains("wordprocessingml"));
        let found = members(&file.bytes);
        let expected = of(&wanted.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        assert_eq!(found, expected.map(|(name, content)| (name.to_string(), content)));
    }
    // An archive that would unpack to very much.
    let bomb = stored(&[("word/document.xml", &document(&"a".repeat(1_900_000)))]);
    let fields = [("source", "en"), ("target", "qaa")];
    assert_eq!(http::post_file(&server, "/translate_file", "a.docx", bomb, &fields).status, 413);
}

#[test]
fn word_documents_of_other_programs_open_again() {
    let here = folder("upkeep-python-docx");
    let Some(python) = python(&here, "word_documents_of_other_programs_open_again", "docx") else { return };
    let server = Server::start(&here, "../served/run");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/serve_docx.py");
    here.bash(&format!("\"{python}\" {script} http://{} en qaa '{TEXT}' out.docx", server.address)).succeeds();
}
