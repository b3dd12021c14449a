//! A server of the tests, and a small HTTP client that shows what comes over the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Folder, Ran, shared};

/// What the tests translate.
pub const TEXT: &str = "The old dog sees the cat.";

/// A test's own folder, beside `../served/run`: a model that has learned enough to write something.
pub fn folder(name: &str) -> Folder {
    static SERVED: OnceLock<()> = OnceLock::new();
    SERVED.get_or_init(|| {
        let path = shared().join("served");
        std::fs::create_dir(&path).unwrap();
        let here = Folder::at(path);
        let every = "--set train.validate_every=200 --set train.checkpoint_every=200 --set model.dropout=0.0";
        here.strata(&format!("train ../tiny.toml --output run --set train.updates=200 {every}")).succeeds();
        let said = translated(&Folder::at(shared().join("first")), TEXT, "");
        assert!(said.len() > 5, "the model says only `{said}`");
    });
    super::folder(name)
}

/// What `strata translate` makes of a line.
pub fn translated(here: &Folder, text: &str, more: &str) -> String {
    let ran = here.strata_reading(&format!("translate ../served/run --to qaa {more}"), format!("{text}\n")).succeeds();
    ran.out.trim_end_matches('\n').to_string()
}

/// `strata serve` on a port of its own; killed when dropped.
pub struct Server {
    pub address: String,
    child: Option<Child>,
    arguments: String,
    told: bool,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub fn start(folder: &Folder, arguments: &str) -> Server {
        let arguments = format!("serve {arguments} --port 0");
        let mut command = folder.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said = line.trim().strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        let Some((_, address)) = said else {
            panic!("{}", Ran::new(&arguments, child.wait_with_output().unwrap()));
        };
        Server { address: address.to_string(), child: Some(child), arguments, told: false }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Tells it to stop, once.
    pub fn terminate(&mut self) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Tells it to stop and waits for its end.
    pub fn stop(mut self) -> Ran {
        self.terminate();
        let mut child = self.child.take().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > Duration::from_secs(60) {
                let _ = child.kill();
                panic!("it did not stop");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ran::new(&self.arguments, child.wait_with_output().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Opens a connection and sends bytes.
pub fn open(server: &Server, bytes: &str) -> TcpStream {
    open_at(&server.address, bytes.as_bytes())
}

fn open_at(address: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    // A server that has heard enough closes.
    let _ = stream.write_all(bytes);
    stream
}

/// All that comes until the server closes.
pub fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer, read as far as its length says.
pub fn read(stream: &mut TcpStream) -> Answer {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status in `{line}`"));
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_string()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), bytes: body }
}

pub fn raw(server: &Server, request: &str) -> Answer {
    read(&mut open(server, request))
}

pub fn get(server: &Server, path: &str) -> Answer {
    raw(server, &format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address))
}

pub fn send(address: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let head = format!("{head}content-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    read(&mut open_at(address, &[head.as_bytes(), body].concat()))
}

pub fn post(server: &Server, path: &str, body: &Value) -> Answer {
    post_to(&server.address, path, body)
}

pub fn post_to(address: &str, path: &str, body: &Value) -> Answer {
    send(address, path, "application/json", body.to_string().as_bytes())
}

pub fn post_form(server: &Server, path: &str, body: &str) -> Answer {
    send(&server.address, path, "application/x-www-form-urlencoded", body.as_bytes())
}

/// Sends a file in a form.
pub fn post_file(
    server: &Server,
    path: &str,
    name: &str,
    content: impl AsRef<[u8]>,
    fields: &[(&str, &str)],
) -> Answer {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--limit\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += &format!("--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
    let body = [body.as_bytes(), content.as_ref(), b"\r\n--limit--\r\n"].concat();
    send(&server.address, path, "multipart/form-data; boundary=limit", &body)
}
