//! What the tests of all engines share.

use strata_ranks::Ranks;

/// Runs `work` on each of `size` threads as ranks.
#[allow(dead_code)] // not every test program needs threads
pub fn each(size: usize, work: impl Fn(Ranks) + Sync) {
    std::thread::scope(|scope| {
        for ranks in Ranks::threads(size) {
            let work = &work;
            scope.spawn(move || work(ranks));
        }
    });
}

/// Calls every operation and checks what it gives.
pub fn all_operations(ranks: &Ranks) {
    let (rank, size) = (ranks.rank(), ranks.size());
    ranks.barrier().unwrap();

    // Rank r sends r + p values `16 r + p` to rank p.
    let sends: Vec<usize> = (0..size).map(|p| rank + p).collect();
    let data: Vec<f32> = (0..size).flat_map(|p| vec![(16 * rank + p) as f32; rank + p]).collect();
    let expected: Vec<f32> = (0..size).flat_map(|p| vec![(16 * p + rank) as f32; rank + p]).collect();
    assert_eq!(ranks.exchange(data, &sends, &sends).unwrap(), expected);
    assert_eq!(ranks.exchange(vec![], &vec![0; size], &vec![0; size]).unwrap(), vec![0.0f32; 0]);

    // Several exchanges underway at once, of parts that overlap, finished in another order.
    let begin = |i: usize| {
        let data = vec![rank as f32, i as f32];
        ranks.begin(data, &vec![0..2; size], &vec![2; size]).unwrap()
    };
    let (first, second) = (begin(1), begin(2));
    let expected = |i: usize| (0..size).flat_map(|p| [p as f32, i as f32]).collect::<Vec<_>>();
    assert_eq!(second.values().unwrap(), expected(2));
    assert_eq!(first.values().unwrap(), expected(1));

    let all: Vec<Vec<u32>> = (0..size as u32).map(|p| vec![p, 2 * p]).collect();
    assert_eq!(ranks.gather(&[rank as u32, 2 * rank as u32]).unwrap(), all);
    let texts: Vec<Vec<u8>> = (0..size).map(|p| b"abcdefg"[..p + 1].to_vec()).collect();
    assert_eq!(ranks.gather_bytes(&b"abcdefg"[..rank + 1]).unwrap(), texts);
    let collected = ranks.collect_bytes(&b"abcdefg"[..rank + 1]).unwrap();
    assert_eq!(collected, if rank == 0 { texts } else { Vec::new() });
    assert_eq!(ranks.broadcast(format!("from {rank}").as_bytes()).unwrap(), b"from 0");
    let mut sums = [rank as f64 + 0.25, -1.0];
    ranks.sum(&mut sums).unwrap();
    assert_eq!(sums, [(0..size).map(|p| p as f64 + 0.25).sum::<f64>(), -(size as f64)]);
    assert!(ranks.any(rank == size - 1).unwrap());
    assert!(!ranks.any(false).unwrap());

    // Two groups, even and odd ranks, which then work apart.
    let group = ranks.split(rank % 2).unwrap();
    let members: Vec<Vec<u32>> = (0..size).filter(|p| p % 2 == rank % 2).map(|p| vec![p as u32]).collect();
    assert_eq!((group.rank(), group.size()), (rank / 2, members.len()));
    assert_eq!(group.gather(&[rank as u32]).unwrap(), members);
    if rank.is_multiple_of(2) {
        group.barrier().unwrap();
    }

    // Large enough that it does not go through at once.
    let n = 300_000;
    let data: Vec<f32> = (0..n * size).map(|i| (i + rank) as f32).collect();
    let got = ranks.exchange(data, &vec![n; size], &vec![n; size]).unwrap();
    assert!((0..size).all(|p| got[p * n + 5] == (rank * n + 5 + p) as f32));
    ranks.barrier().unwrap();
}
