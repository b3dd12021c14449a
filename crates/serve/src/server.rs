//! Connections: accepted up to a limit, cut off if they are slow, and drained when the server stops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::api::{App, Hosts, Peer, router, without_prefix};
use crate::error::Error;
use crate::idle::{Answer, Connection, Idle, Watched};
use crate::log::Entry;
use crate::metrics::During;

/// Serves until `stop` completes, then lets pending requests finish.
///
/// # Errors
/// An invalid origin. A connection that fails ends alone.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let router = router(&app, Hosts::new(loopback, &app.settings.hosts))?;
    let unloading = app.settings.unload_after.map(|after| tokio::spawn(unload(app.clone(), after)));
    let limits = app.settings.connection.clone();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(8192))
        .keep_alive(true);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.connections));
    let idle = Arc::new(Idle::default());
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &room, &idle) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files and the like: wait for other connections to end.
                (app.settings.log)(&Entry::new("warning", "server", format!("cannot accept a connection: {error}")));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let counted = app.metrics.during(During::Connection);
        // Answers are small, so they are sent at once.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.body_time));
        let router = router.clone();
        let of_request = app.clone();
        let connection = idle.add();
        let stream = Watched::new(Box::pin(stream), connection.clone());
        let of_service = connection.clone();
        let service =
            service_fn(move |request| answer(of_request.clone(), router.clone(), of_service.clone(), peer, request));
        let header_time = limits.header_time;
        let (http, watcher, tls) = (http.clone(), graceful.watcher(), app.tls.clone());
        tokio::spawn(async move {
            let served = async {
                match tls {
                    None => watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await,
                    Some(tls) => {
                        let handshake = tokio::time::timeout(header_time, tls.accept(stream)).await;
                        let Ok(Ok(stream)) = handshake else { return Ok(()) };
                        watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await
                    }
                }
            };
            tokio::select! {
                // A client that hangs up is not the server's fault.
                _ = served => {}
                () = connection.closed() => {}
            }
            drop((counted, place));
        });
    }
    drop(listener);
    if let Some(unloading) = unloading {
        unloading.abort();
    }
    let waiting = graceful.count();
    (app.settings.log)(&Entry::new("info", "server", format!("stopping; {waiting} connections to finish")));
    if tokio::time::timeout(limits.drain_time, graceful.shutdown()).await.is_err() {
        (app.settings.log)(&Entry::new("warning", "server", "requests under way were broken off"));
    }
    (app.settings.log)(&Entry::new("info", "server", "stopped"));
    Ok(())
}

/// Unloads unused models, forever.
async fn unload(app: Arc<App>, after: Duration) {
    let mut ticks = tokio::time::interval((after / 4).clamp(Duration::from_millis(250), Duration::from_secs(30)));
    loop {
        ticks.tick().await;
        app.models.unload_idle(after).await;
    }
}

type Accepted = (TcpStream, Peer, OwnedSemaphorePermit);

/// The next connection, once there is room for it: the one that has waited longest for a request makes room, or, while
/// all are busy, the first that is done.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>, idle: &Idle) -> std::io::Result<Accepted> {
    let (stream, peer) = listener.accept().await?;
    let place = match room.clone().try_acquire_owned() {
        Ok(place) => place,
        Err(_) => make_room(room, idle).await.map_err(std::io::Error::other)?,
    };
    Ok((stream, Peer(peer), place))
}

async fn make_room(room: &Arc<Semaphore>, idle: &Idle) -> Result<OwnedSemaphorePermit, AcquireError> {
    loop {
        // Before the look, so that none is missed that begins to wait after it.
        let joined = idle.joined();
        if idle.close_oldest() {
            return room.clone().acquire_owned().await;
        }
        tokio::select! {
            place = room.clone().acquire_owned() => return place,
            () = joined => {}
        }
    }
}

async fn answer(
    app: Arc<App>,
    router: Router,
    connection: Arc<Connection>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<Answer>, std::convert::Infallible> {
    connection.asked();
    let answer = match without_prefix(request.map(Body::new), &app.settings.url_prefix) {
        Ok(mut request) => {
            request.extensions_mut().insert(peer);
            router.oneshot(request).await?
        }
        Err(answer) => *answer,
    };
    Ok(answer.map(|body| connection.answer(body)))
}
