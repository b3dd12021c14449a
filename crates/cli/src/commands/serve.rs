//! `strata serve`: a translation server for programs and, by its web page, for people.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use strata_runtime::Precision;
use strata_serve::keys::{Keys, new_key};
use strata_serve::log::{Entry, Logger};
use strata_serve::{App, Certificate, ConnectionLimits, ModelSource, RequestLimits, Settings};
use strata_translate::Placement;

use crate::Outcome;
use crate::output::print;
use crate::search_args::{CheckArgs, precision};
use crate::terminal::Terminal;

/// Serve translations over HTTP: LibreTranslate's API, DeepL's, and a web page
#[derive(Debug, Args)]
#[command(after_help = "LibreTranslate's API, DeepL's /v2, /v1/route, /metrics; /spec describes the API, and a \
                  browser gets a page. Ctrl-C or SIGTERM lets current requests finish.")]
pub struct Arguments {
    /// Models, each as PATH or NAME=PATH: model folder, packed folder, checkpoint, or run
    #[arg(required_unless_present = "new_key", value_name = "MODEL")]
    models: Vec<String>,
    /// Numbers that weights are held in: bf16 takes half the memory of f32, int8 a quarter and is the fastest;
    /// translations stay nearly the same [default: f32, or a packed folder's]
    #[arg(long, value_parser = precision(), value_name = "PRECISION")]
    precision: Option<Precision>,
    /// Hypotheses of beam search; 1 is greedy search
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = beam)]
    beam: usize,
    /// Load all models at the start instead of at their first request
    #[arg(long)]
    preload: bool,
    /// Unload a model after this many seconds without a request, until the next one [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    unload_after: Option<u64>,
    /// Models in memory at a time; the least recently used makes room, unless it is in use [default: all]
    #[arg(long, value_name = "N", value_parser = queue)]
    max_loaded: Option<usize>,
    /// Sentences that may wait or be translated in a model; further requests are answered 429
    #[arg(long, default_value_t = 2000, value_parser = queue, value_name = "N")]
    queue: usize,
    /// Take suggestions of better translations (POST /suggest), and add them to this file: languages, text and
    /// suggestion with tabs between
    #[arg(long, value_name = "FILE")]
    suggestions: Option<PathBuf>,
    #[command(flatten)]
    check: CheckArgs,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    keys: ApiKeys,
    #[command(flatten)]
    limits: Limits,
}

/// Where the server listens, and to whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network options")]
struct Network {
    /// Address or name to listen on, such as localhost, 0.0.0.0 or ::1
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS", value_parser = host)]
    host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 5000, value_name = "N")]
    port: u16,
    /// Names by which clients may call the server besides localhost, comma-separated; * allows all [default: on
    /// loopback this machine's own names, elsewhere all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    allowed_hosts: Vec<String>,
    /// Path below which a proxy shows the server, such as /translator; the paths themselves are taken, too
    #[arg(long, value_name = "PATH", value_parser = prefix)]
    url_prefix: Option<String>,
    /// Web origin whose pages may call the server, or *; repeatable
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,
    /// Use TLS with this certificate (PEM, with its chain)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

/// Who may use the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "API keys")]
struct ApiKeys {
    /// File of API keys, lines of `NAME SHA256 REQUESTS_PER_MINUTE`; without it everyone has access
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Print a new API key and its line for the file of keys, and exit
    #[arg(long, value_name = "NAME", conflicts_with_all = [
        "models", "precision", "no_verify", "beam", "preload", "unload_after", "max_loaded", "queue", "suggestions",
        "host", "port", "allowed_hosts", "url_prefix", "origin", "tls_certificate", "tls_key", "keys", "max_characters",
        "max_sentences", "max_alternatives", "max_file_characters", "max_body_bytes", "max_seconds", "client_seconds",
        "max_connections", "drain_seconds",
    ])]
    new_key: Option<String>,
    /// Requests per minute of the new key [default: no limit]
    // Clap drops a requirement that conflicts with what is given, so the conflict is said here too.
    #[arg(
        long,
        default_value_t = 0,
        hide_default_value = true,
        requires = "new_key",
        conflicts_with = "models",
        value_name = "N"
    )]
    rate: u32,
}

/// What one request or client may ask for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Characters of a request
    #[arg(long, default_value_t = RequestLimits::default().characters, value_name = "N", value_parser = positive)]
    max_characters: usize,
    /// Sentences of a request
    #[arg(long, default_value_t = RequestLimits::default().sentences, value_name = "N", value_parser = positive)]
    max_sentences: usize,
    /// Alternatives to a translation
    #[arg(long, default_value_t = RequestLimits::default().alternatives, value_name = "N",
        value_parser = alternatives)]
    max_alternatives: usize,
    /// Characters of a file
    #[arg(long, default_value_t = RequestLimits::default().file_characters, value_name = "N", value_parser = positive)]
    max_file_characters: usize,
    /// Bytes of a body
    #[arg(long, default_value_t = RequestLimits::default().body_bytes, value_name = "N", value_parser = positive)]
    max_body_bytes: usize,
    /// Seconds for a request; ten times as many for a file
    #[arg(long, default_value_t = RequestLimits::default().time.as_secs(), value_name = "SECONDS",
        value_parser = seconds)]
    max_seconds: u64,
    /// Seconds for a client to send headers, and to send a body
    #[arg(long, default_value_t = ConnectionLimits::default().header_time.as_secs(), value_name = "SECONDS",
        value_parser = seconds)]
    client_seconds: u64,
    /// Connections at a time
    #[arg(long, default_value_t = ConnectionLimits::default().connections, value_name = "N",
        value_parser = connections)]
    max_connections: usize,
    /// Seconds for current requests to finish when the server stops
    #[arg(long, default_value_t = ConnectionLimits::default().drain_time.as_secs(), value_name = "SECONDS",
        value_parser = seconds)]
    drain_seconds: u64,
}

fn between(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("choose {least} to {most}"))
}

fn positive(text: &str) -> Result<usize, String> {
    between(text, 1, 1 << 40).map(|number| number as usize)
}

/// A name or an address; one of IPv6 may be in brackets.
fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let is_name = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if is_name || bare.parse::<IpAddr>().is_ok() {
        Ok(bare.to_string())
    } else {
        Err("write a name or an address, and the port as --port".to_string())
    }
}

/// A path without the `/` at its end; none for `/`.
fn prefix(text: &str) -> Result<String, String> {
    let bare = text.trim_end_matches('/');
    let fits = bare.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.~".contains(c)) && !bare.contains("//");
    match bare {
        "" => Ok(String::new()),
        path if fits && path.starts_with('/') => Ok(path.to_string()),
        path if fits => Ok(format!("/{path}")),
        _ => Err("write a path such as /translator".to_string()),
    }
}

fn queue(text: &str) -> Result<usize, String> {
    between(text, 1, 1_000_000).map(|number| number as usize)
}

fn beam(text: &str) -> Result<usize, String> {
    between(text, 1, 64).map(|number| number as usize)
}

fn alternatives(text: &str) -> Result<usize, String> {
    between(text, 0, 63).map(|number| number as usize)
}

fn seconds(text: &str) -> Result<u64, String> {
    between(text, 1, 86_400)
}

fn connections(text: &str) -> Result<usize, String> {
    between(text, 1, 100_000).map(|number| number as usize)
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if let Some(name) = &arguments.keys.new_key {
        let (key, line) = new_key(name, arguments.keys.rate)?;
        // Apart, so that `>> keys.txt` stores no key, and shows it.
        terminal.result(&format!("the key of {name}, for the client alone: {key}"));
        print(&format!("{line}\n"))?;
        return Ok(Outcome::Done);
    }
    // A model file that another program truncates ends that model, not the server.
    strata_files::survive_truncation();
    crate::allocator::few_heaps();
    let lines = LogLines::start()?;
    let app = App::new(settings(arguments, lines.logger(!terminal.is_quiet()))?)?;
    // These threads only read and write; the engine has its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the server's threads")?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        let (host, port) = (arguments.network.host.as_str(), arguments.network.port);
        let listener = tokio::net::TcpListener::bind((host, port)).await;
        let listener = listener.with_context(|| match host.parse() {
            Ok(ip) => format!("cannot listen on {}; choose another --port", SocketAddr::new(ip, port)),
            Err(_) => format!("cannot listen on {host}:{port}; choose another --port or --host"),
        })?;
        if arguments.preload {
            app.preload().await?;
        }
        let address = listener.local_addr().context("no address")?;
        let scheme = if arguments.network.tls_key.is_some() { "https" } else { "http" };
        print(&format!("listening on {scheme}://{address}\n"))?;
        if !address.ip().is_loopback() && arguments.keys.keys.is_none() {
            terminal.warn("anyone who reaches this address can use the server; --keys FILE requires API keys");
        }
        let served = strata_serve::serve(listener, app, stop).await;
        lines.flush();
        served?;
        Ok(Outcome::Done)
    })
}

fn settings(arguments: &Arguments, log: Logger) -> anyhow::Result<Settings> {
    let limits = &arguments.limits;
    let (of_client, of_request) = (Duration::from_secs(limits.client_seconds), Duration::from_secs(limits.max_seconds));
    Ok(Settings {
        models: arguments.models.iter().map(|said| source(said)).collect(),
        placement: Placement { precision: arguments.precision, check: arguments.check.check(), ..Placement::default() },
        beam: arguments.beam,
        most_loaded: arguments.max_loaded.unwrap_or(0),
        unload_after: arguments.unload_after.map(Duration::from_secs),
        released: Arc::new(crate::allocator::give_back),
        hosts: arguments.network.allowed_hosts.clone(),
        url_prefix: arguments.network.url_prefix.clone().unwrap_or_default(),
        suggestions: arguments.suggestions.clone(),
        queue: arguments.queue,
        request: RequestLimits {
            characters: limits.max_characters,
            sentences: limits.max_sentences,
            alternatives: limits.max_alternatives,
            file_characters: limits.max_file_characters,
            body_bytes: limits.max_body_bytes,
            time: of_request,
            file_time: of_request * 10,
            ..RequestLimits::default()
        },
        connection: ConnectionLimits {
            connections: limits.max_connections,
            header_time: of_client,
            body_time: of_client,
            drain_time: Duration::from_secs(limits.drain_seconds),
            ..ConnectionLimits::default()
        },
        keys: arguments.keys.keys.as_deref().map(Keys::read).transpose()?,
        certificate: arguments
            .network
            .tls_certificate
            .clone()
            .zip(arguments.network.tls_key.clone())
            .map(|(chain, key)| Certificate { chain, key }),
        origins: arguments.network.origin.clone(),
        log,
    })
}

/// `NAME=PATH`, or a path whose last part is the name. An existing path may contain `=`.
fn source(said: &str) -> ModelSource {
    if let Some((name, path)) = said.split_once('=')
        && !name.contains('/')
        && !Path::new(said).exists()
    {
        return ModelSource { name: name.to_string(), path: path.into() };
    }
    let path = PathBuf::from(said);
    let full = path.canonicalize().unwrap_or_else(|_| path.clone());
    let name = full.file_name().map_or(said.to_string(), |name| name.to_string_lossy().into_owned());
    ModelSource { name, path }
}

/// Done at Ctrl-C or SIGTERM; a second one ends the program at once. SIGHUP and SIGUSR1 are ignored: ending with code
/// 0, as they would, leaves a server down that systemd restarts on failure.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let (tell, mut told) = tokio::sync::watch::channel(false);
    crate::stop::on_signals(move |signal| matches!(signal, SIGINT | SIGTERM) && tell.send_replace(true))?;
    Ok(async move {
        // The handler lives as long as the program.
        let _ = told.wait_for(|stop| *stop).await;
    })
}

/// Lines on their way to standard error. A thread of its own writes them, so that a reader who falls behind holds up no
/// request: lines that do not fit are dropped.
#[derive(Clone)]
struct LogLines(SyncSender<Message>);

enum Message {
    Line(String),
    /// Answers when all lines before it are written.
    Flush(SyncSender<()>),
}

/// Lines that may wait to be written.
const MOST_LINES: usize = 4096;
/// How long the last lines may take at the end.
const FLUSH_TIME: Duration = Duration::from_secs(1);

impl LogLines {
    fn start() -> anyhow::Result<Self> {
        let (sender, receiver) = sync_channel(MOST_LINES);
        let write = move || {
            for message in receiver {
                match message {
                    // Standard error may be closed.
                    Message::Line(line) => drop(writeln!(std::io::stderr(), "{line}")),
                    Message::Flush(done) => drop(done.send(())),
                }
            }
        };
        std::thread::Builder::new().name("log".into()).spawn(write).context("cannot start the thread of the log")?;
        Ok(Self(sender))
    }

    /// A logger of all entries, or only of those that `-q` keeps.
    fn logger(&self, all: bool) -> Logger {
        let sender = self.0.clone();
        Arc::new(move |entry: &Entry| {
            if (all || entry.level != "info")
                && let Ok(line) = serde_json::to_string(entry)
            {
                let _ = sender.try_send(Message::Line(line));
            }
        })
    }

    /// Waits until all lines are written, but not for long.
    fn flush(&self) {
        let (done, told) = sync_channel(1);
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = told.recv_timeout(FLUSH_TIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for (said, meant) in [("localhost", "localhost"), ("[::1]", "::1"), ("::1", "::1"), ("0.0.0.0", "0.0.0.0")] {
            assert_eq!(host(said).as_deref(), Ok(meant));
        }
        assert!(host("localhost:80").is_err() && host("").is_err() && host("http://x").is_err());
    }

    #[test]
    fn prefixes_begin_with_a_slash_and_do_not_end_in_one() {
        for (said, meant) in [("/mt/", "/mt"), ("mt", "/mt"), ("/a/b", "/a/b"), ("/", ""), ("", "")] {
            assert_eq!(prefix(said).as_deref(), Ok(meant));
        }
        assert!(prefix("/a b").is_err() && prefix("//x").is_err() && prefix("/x?y").is_err());
    }
}
