//! Metrics for Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::engine::Models;

/// Labels by name and value.
type Labels = Vec<(String, String)>;

/// What is counted.
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    latency: Family<Labels, Histogram>,
    characters: Counter,
    in_flight: Gauge,
    connections: Gauge,
    memory: Gauge,
    loaded: Family<Labels, Gauge>,
    queued: Family<Labels, Gauge>,
    sentences: Family<Labels, Counter>,
    subwords: Family<Labels, Counter>,
    rate: Family<Labels, Gauge<f64, AtomicU64>>,
    broken: Family<Labels, Gauge>,
}

/// One label.
fn label(name: &str, value: &str) -> (String, String) {
    (name.to_string(), value.to_string())
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("strata");
        let latency =
            Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 14)));
        let metrics = Self {
            requests: Family::default(),
            latency,
            characters: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            memory: Gauge::default(),
            loaded: Family::default(),
            queued: Family::default(),
            sentences: Family::default(),
            subwords: Family::default(),
            rate: Family::default(),
            broken: Family::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered, by route and status", metrics.requests.clone());
        let help = "From a request's headers to its answer, by route";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, metrics.latency.clone());
        registry.register("characters", "Characters taken for translation", metrics.characters.clone());
        registry.register("http_requests_in_flight", "Requests being worked on", metrics.in_flight.clone());
        registry.register("http_connections", "Open connections", metrics.connections.clone());
        registry.register_with_unit("resident_memory", "Memory of the process", Unit::Bytes, metrics.memory.clone());
        registry.register("model_loaded", "Whether the model's weights are loaded", metrics.loaded.clone());
        registry.register("queue_sentences", "Sentences waiting or being translated", metrics.queued.clone());
        registry.register("sentences", "Sentences translated", metrics.sentences.clone());
        registry.register("subwords", "Subwords written", metrics.subwords.clone());
        registry.register("sentences_per_second", "Speed of the model while it works, lately", metrics.rate.clone());
        registry.register("engine_broken", "Whether the model's engine has stopped by a fault", metrics.broken.clone());
        Self { registry, ..metrics }
    }

    /// Counts a request that was answered.
    pub fn answered(&self, route: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&vec![label("route", route), label("status", &status.to_string())]).inc();
        self.latency.get_or_create(&vec![label("route", route)]).observe(took.as_secs_f64());
    }

    /// Counts characters admitted for translation.
    pub fn took(&self, characters: usize) {
        self.characters.inc_by(characters as u64);
    }

    /// Counts a request or a connection until the guard is dropped.
    pub fn during(&self, what: During) -> Guard {
        let gauge = match what {
            During::Request => &self.in_flight,
            During::Connection => &self.connections,
        };
        gauge.inc();
        Guard(gauge.clone())
    }

    /// All metrics as OpenMetrics text.
    pub fn text(&self, models: &Models) -> String {
        self.memory.set(resident_bytes());
        for model in models.all() {
            let labels = vec![label("model", model.name())];
            let load = model.load();
            self.loaded.get_or_create(&labels).set(i64::from(load.as_ref().is_some_and(|load| !load.is_broken())));
            let Some(load) = load else { continue };
            self.queued.get_or_create(&labels).set(load.sentences() as i64);
            self.rate.get_or_create(&labels).set(load.rate());
            self.broken.get_or_create(&labels).set(i64::from(load.is_broken()));
            // A model that is loaded again counts from 0, which Prometheus allows.
            let set = |counter: &Counter, to: u64| counter.inner().store(to, std::sync::atomic::Ordering::Relaxed);
            set(&self.sentences.get_or_create(&labels), load.finished());
            set(&self.subwords.get_or_create(&labels), load.subwords());
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Metrics::during`] counts.
#[derive(Clone, Copy, Debug)]
pub enum During {
    /// A request.
    Request,
    /// A connection.
    Connection,
}

/// Counted until dropped.
pub struct Guard(Gauge);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_bytes() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").trim().parse::<i64>().ok()
    });
    pages.map_or(0, |kilobytes| kilobytes * 1024)
}
