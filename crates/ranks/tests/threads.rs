//! What ranks do for each other, with threads as ranks.

mod common;

use common::{all_operations, each};
use strata_ranks::{Error, Ranks};

#[test]
fn every_operation_gives_what_it_says_on_1_to_4_ranks() {
    all_operations(&Ranks::single());
    for size in 1..=4 {
        each(size, |ranks| all_operations(&ranks));
    }
}

#[test]
fn sums_are_made_in_rank_order_whoever_comes_first() {
    // In another order these sums would round otherwise.
    let values = [1.0, 1e16, -1e16, 1.0];
    let expected = ((0.0 + 1.0) + 1e16) + -1e16 + 1.0;
    for late in 0..4u64 {
        each(4, |ranks| {
            if ranks.rank() as u64 == late {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let mut sum = [values[ranks.rank()]];
            ranks.sum(&mut sum).unwrap();
            assert_eq!(sum, [expected]);
        });
    }
}

#[test]
fn a_rank_that_ends_early_lets_the_others_go() {
    each(3, |ranks| {
        if ranks.rank() == 1 {
            return;
        }
        assert!(matches!(ranks.barrier(), Err(Error::Lost { rank: 1 })));
    });
}

#[test]
fn ranks_of_one_host_have_places_there() {
    assert_eq!(Ranks::single().place_on_this_host().unwrap(), 0);
    each(3, |ranks| {
        assert_eq!((ranks.on_this_host().unwrap(), ranks.place_on_this_host().unwrap()), (3, ranks.rank()));
    });
}

#[test]
fn one_rank_speaks_for_all() {
    each(4, |ranks| {
        let mine: Result<u32, Error> = match ranks.rank() {
            rank @ (1 | 3) => Err(Error::TooLarge { words: rank }),
            rank => Ok(rank as u32),
        };
        let got = ranks.together(mine);
        match ranks.rank() {
            1 => assert!(matches!(got, Err(Error::TooLarge { words: 1 }))),
            _ => assert!(matches!(got, Err(Error::Elsewhere { rank: 1 }))),
        }
        assert_eq!(ranks.together(Ok::<_, Error>(7)).unwrap(), 7);
    });
}

#[test]
fn a_difference_is_named_by_rank_0_alone() {
    each(3, |ranks| {
        ranks.same("recipe", "abc").unwrap();
        let value = if ranks.rank() == 2 { "def" } else { "abc" };
        match (ranks.rank(), ranks.same("recipe", value)) {
            (0, Err(error)) => {
                let text = error.to_string();
                assert!(text.starts_with("rank 2 on "), "{text}");
                assert!(text.ends_with("another recipe than rank 0 (def instead of abc): all ranks need the same"));
            }
            (_, result) => assert!(matches!(result, Err(Error::Elsewhere { rank: 0 }))),
        }
    });
}
