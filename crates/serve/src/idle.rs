//! Connections that wait for a request. Where all places are taken, the one that has waited longest gives up its own,
//! so that clients who connect and say nothing keep nobody out.
//!
//! A connection waits from when it was accepted until the head of a request is read, and again from when the answer's
//! last byte has gone to the system. The end of an answer shows in two steps: hyper drops its body when it has taken
//! over all of it, and then flushes what it holds.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::lock::lock;

/// All connections that wait.
#[derive(Default)]
pub struct Idle {
    waiting: Mutex<Waiting>,
    /// Told when a connection begins to wait.
    joined: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Turns given out so far.
    turns: u64,
    /// By turn, so that the first has waited longest.
    connections: BTreeMap<u64, Arc<Notify>>,
}

/// One connection; dropped, it waits no more.
pub struct Connection {
    all: Arc<Idle>,
    state: Mutex<State>,
    close: Arc<Notify>,
}

/// What a connection does.
enum State {
    /// It waits for a request, since this turn.
    Waiting(u64),
    /// It has a request, and its answer is not whole yet.
    Answering,
    /// Its answer is whole, but not all of it is sent.
    Sending,
}

impl Idle {
    /// A new connection, which waits.
    pub fn add(self: &Arc<Self>) -> Arc<Connection> {
        let close = Arc::default();
        let turn = self.enter(&close);
        Arc::new(Connection { all: self.clone(), state: Mutex::new(State::Waiting(turn)), close })
    }

    /// Closes the connection that has waited longest; says whether any waits.
    pub fn close_oldest(&self) -> bool {
        let oldest = lock(&self.waiting).connections.pop_first();
        oldest.inspect(|(_, close)| close.notify_one()).is_some()
    }

    /// Completes when, from this call on, a connection begins to wait.
    pub fn joined(&self) -> Notified<'_> {
        self.joined.notified()
    }

    fn enter(&self, close: &Arc<Notify>) -> u64 {
        let mut waiting = lock(&self.waiting);
        waiting.turns += 1;
        let turn = waiting.turns;
        waiting.connections.insert(turn, close.clone());
        drop(waiting);
        self.joined.notify_waiters();
        turn
    }

    fn leave(&self, turn: u64) {
        lock(&self.waiting).connections.remove(&turn);
    }
}

impl Connection {
    /// A request has come. The connection waits again once the answer that [`Connection::answer`] makes is sent.
    pub fn asked(&self) {
        if let State::Waiting(turn) = std::mem::replace(&mut *lock(&self.state), State::Answering) {
            self.all.leave(turn);
        }
    }

    /// The body of an answer, which says when it is whole.
    pub fn answer(self: &Arc<Self>, body: Body) -> Answer {
        Answer { body, connection: self.clone() }
    }

    /// Completes when the connection is to close.
    pub async fn closed(&self) {
        self.close.notified().await;
    }

    fn answered(&self) {
        *lock(&self.state) = State::Sending;
    }

    fn flushed(&self) {
        let mut state = lock(&self.state);
        if matches!(*state, State::Sending) {
            *state = State::Waiting(self.all.enter(&self.close));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let State::Waiting(turn) = *lock(&self.state) {
            self.all.leave(turn);
        }
    }
}

/// The body of an answer.
pub struct Answer {
    body: Body,
    connection: Arc<Connection>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.answered();
    }
}

/// The stream of a connection, which says when all is sent.
pub struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
}

impl<S> Watched<S> {
    /// Watches `stream` for `connection`.
    pub fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // Whoever writes through this hands on all that it holds before it flushes.
        if flushed.is_ready() {
            self.connection.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn waiting(idle: &Idle) -> usize {
        lock(&idle.waiting).connections.len()
    }

    #[tokio::test]
    async fn the_one_that_waits_longest_is_closed_and_none_that_works() {
        let idle = Arc::new(Idle::default());
        let (first, second, third) = (idle.add(), idle.add(), idle.add());
        first.asked();
        drop(second);
        let fourth = idle.add();
        assert!(idle.close_oldest());
        third.closed().await;
        drop(first.answer(Body::empty()));
        assert_eq!(waiting(&idle), 1, "what is answered may not be sent yet");
        let joined = idle.joined();
        first.flushed(); // the latest to wait
        joined.await;
        assert!(idle.close_oldest());
        fourth.closed().await;
        assert!(idle.close_oldest());
        first.closed().await;
        assert!(!idle.close_oldest()); // nobody left
        assert_eq!(waiting(&idle), 0);
    }

    /// Serves a body of this size over a wire that holds 64 bytes, to a client that reads nothing before `pause` has
    /// ended. Gives back how many connections wait during the pause, and after the client has read all.
    async fn served(size: usize, pause: Duration) -> (usize, usize) {
        let idle = Arc::new(Idle::default());
        let (mut client, server) = tokio::io::duplex(64);
        let connection = idle.add();
        let watched = Watched::new(server, connection.clone());
        let service = service_fn(move |_| {
            let connection = connection.clone();
            async move {
                connection.asked();
                let body = connection.answer(Body::from(vec![b'x'; size]));
                Ok::<_, Infallible>(hyper::Response::new(body))
            }
        });
        let served = tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(watched), service));
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(pause).await;
        let during = waiting(&idle);
        let mut read = Vec::new();
        while !read.ends_with(&vec![b'x'; size]) {
            let mut buffer = [0; 64];
            let count = client.read(&mut buffer).await.unwrap();
            assert!(count > 0, "{} bytes", read.len());
            read.extend_from_slice(&buffer[..count]);
        }
        let head = String::from_utf8_lossy(&read).to_lowercase();
        assert!(head.contains(&format!("content-length: {size}")), "{head}");
        tokio::time::sleep(pause).await;
        let after = waiting(&idle);
        drop(client);
        let _ = served.await.unwrap();
        assert_eq!(waiting(&idle), 0);
        (during, after)
    }

    #[tokio::test]
    async fn an_answer_that_the_client_is_slow_to_read_is_not_cut() {
        let pause = Duration::from_millis(50);
        // Larger and smaller than what hyper holds back.
        for size in [400, 5_000, 100_000, 2_000_000] {
            assert_eq!(served(size, pause).await, (0, 1), "{size} bytes");
        }
    }
}
