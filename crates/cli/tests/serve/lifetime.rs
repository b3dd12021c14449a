//! From start to stop: the log, clients that go away, the end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::http::{self, Server, folder, get};

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let here = folder("serve-log");
    let server = Server::start(&here, "../served/run");
    // A pipe holds 64 KiB; these are some 150 bytes each.
    for i in 0..800 {
        assert_eq!(get(&server, "/health").status, 200, "request {i}");
    }
}

#[test]
fn a_client_that_goes_away_gives_its_room_back() {
    let here = folder("serve-gone");
    let server = Server::start(&here, "../served/run --beam 48 --max-sentences 2000 --max-characters 200000");
    let body = json!({ "q": "The old dog sees the cat in the garden. ".repeat(1500), "source": "en", "target": "qaa" })
        .to_string();
    let head = format!(
        "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let gone = http::open(&server, &(head + &body));
    let queued = || {
        let metrics = get(&server, "/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with("strata_queue_sentences{")).map(str::to_string);
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let until = |what: &dyn Fn(u64) -> bool| {
        let start = Instant::now();
        while !what(queued()) {
            assert!(start.elapsed() < Duration::from_secs(30), "{} sentences in the queue", queued());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until(&|queued| queued > 1000);
    drop(gone);
    until(&|queued| queued == 0);
    let ended = server.stop();
    assert!(ended.err.contains("\"status\":499"), "{ended}");
}

#[test]
fn told_to_stop_it_finishes_what_is_under_way() {
    let here = folder("serve-stop");
    let mut server = Server::start(&here, "../served/run --beam 24 --drain-seconds 600 --max-seconds 600");
    let ask = json!({ "q": "The old dog sees the cat in the garden. ".repeat(100), "source": "en", "target": "qaa" });
    let answer = std::thread::scope(|scope| {
        let (address, ask) = (server.address.clone(), &ask);
        let asked = scope.spawn(move || http::post_to(&address, "/translate", ask));
        let start = Instant::now();
        while !get(&server, "/metrics").body.contains("strata_queue_sentences{model=\"run\"} 100") {
            assert!(start.elapsed() < Duration::from_secs(30), "the request did not come in");
        }
        server.terminate();
        asked.join().unwrap()
    });
    assert_eq!(answer.status, 200);
    assert_eq!(server.stop().code, Some(0));
}
