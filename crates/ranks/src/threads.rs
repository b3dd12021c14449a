//! Threads of one process as ranks, for tests that need no MPI.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::engine::{Engine, Underway};
use crate::error::Error;

/// One of several threads.
pub(crate) struct ThreadRank {
    rank: usize,
    /// Exchanges that this rank has begun.
    begun: AtomicUsize,
    board: Arc<Board>,
}

/// Where the threads of a group put what they send.
struct Board {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Exchanges by their number: what each rank sends.
    posts: HashMap<usize, Vec<Option<Arc<Post>>>>,
    /// Ranks that have taken all of an exchange.
    taken: HashMap<usize, usize>,
    /// Boards of parts of the group, by the number of the exchange that agreed on them, and color.
    parts: HashMap<(usize, usize), Arc<Board>>,
    /// Ranks that have ended.
    ended: Vec<usize>,
}

struct Post {
    data: Vec<u32>,
    sends: Vec<Range<usize>>,
}

struct Waiting {
    number: usize,
    rank: usize,
    receives: Vec<usize>,
    board: Arc<Board>,
}

/// An engine for each of `size` threads.
pub(crate) fn threads(size: usize) -> Vec<ThreadRank> {
    let board = Board::new(size);
    (0..size).map(|rank| ThreadRank { rank, begun: AtomicUsize::new(0), board: Arc::clone(&board) }).collect()
}

impl Board {
    fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, state: Mutex::default(), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Engine for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.board.size
    }

    fn begin(&self, data: Vec<u32>, sends: &[Range<usize>], receives: &[usize]) -> Result<Box<dyn Underway>, Error> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let post = Arc::new(Post { data, sends: sends.to_vec() });
        let mut state = self.board.lock();
        state.posts.entry(number).or_insert_with(|| vec![None; self.board.size])[self.rank] = Some(post);
        self.board.changed.notify_all();
        let (rank, receives, board) = (self.rank, receives.to_vec(), Arc::clone(&self.board));
        Ok(Box::new(Waiting { number, rank, receives, board }))
    }

    fn split(&self, color: usize) -> Result<Box<dyn Engine>, Error> {
        let size = self.size();
        let number = self.begun.load(Ordering::Relaxed);
        let colors = self.begin(vec![color as u32], &vec![0..1; size], &vec![1; size])?.wait()?;
        let before = colors[..self.rank].iter().filter(|c| **c as usize == color).count();
        let together = colors.iter().filter(|c| **c as usize == color).count();
        let mut state = self.board.lock();
        let board = state.parts.entry((number, color)).or_insert_with(|| Board::new(together));
        Ok(Box::new(ThreadRank { rank: before, begun: AtomicUsize::new(0), board: Arc::clone(board) }))
    }

    fn abort(&self, code: i32) -> ! {
        panic!("rank {} aborts with code {code}", self.rank)
    }

    fn finish(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Underway for Waiting {
    fn wait(self: Box<Self>) -> Result<Vec<u32>, Error> {
        let (number, rank, size) = (self.number, self.rank, self.board.size);
        let mut state = self.board.lock();
        let posts: Vec<Arc<Post>> = loop {
            let posts = &state.posts[&number];
            if posts.iter().all(Option::is_some) {
                break posts.iter().flatten().cloned().collect();
            }
            if let Some(&rank) = state.ended.iter().find(|rank| posts[**rank].is_none()) {
                return Err(Error::Lost { rank });
            }
            state = self.board.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        };
        let taken = state.taken.entry(number).or_default();
        *taken += 1;
        if *taken == size {
            state.taken.remove(&number);
            state.posts.remove(&number);
        }
        drop(state);
        let mut out = Vec::with_capacity(self.receives.iter().sum());
        for (from, (post, receives)) in posts.iter().zip(&self.receives).enumerate() {
            let part = &post.data[post.sends[rank].clone()];
            assert_eq!(part.len(), *receives, "rank {from} sends to rank {rank} what that awaits");
            out.extend_from_slice(part);
        }
        Ok(out)
    }
}

/// A rank that ends, by a panic too, lets the others go.
impl Drop for ThreadRank {
    fn drop(&mut self) {
        self.board.lock().ended.push(self.rank);
        self.board.changed.notify_all();
    }
}
