//! Every parser on its seeds, and on mutations of them: nothing panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use strata_hostile::{Mutations, TARGETS, Target};

/// Mutations for each parser, where `STRATA_FUZZ_ROUNDS` names no other number.
const ROUNDS: usize = 400;

/// Runs a parser, and shows the input on which it panics.
fn run(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).unwrap_or_else(|_| {
        let path = std::env::temp_dir().join(format!("strata-hostile-{}", target.name));
        let kept = std::fs::write(&path, input).map_or_else(|e| e.to_string(), |()| path.display().to_string());
        panic!(
            "the parser of {} panics on {} bytes, kept as {kept}: {}",
            target.name,
            input.len(),
            input.escape_ascii()
        );
    })
}

#[test]
fn every_parser_takes_its_seeds() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            assert!(run(&target, &seed), "{} refuses {}", target.name, seed.escape_ascii());
        }
    }
}

#[test]
fn no_parser_panics_on_damaged_input() {
    let rounds = std::env::var("STRATA_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(TARGETS.len());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for (number, target) in TARGETS.iter().enumerate().skip(thread).step_by(threads) {
                    let mutations = Mutations::new((target.seeds)(), number as u64);
                    mutations.take(rounds).for_each(|input| {
                        run(target, &input);
                    });
                }
            });
        }
    });
}
