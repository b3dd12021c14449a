//! What the processor itself can do: the most operations a second of each kind of product that the kernels use, and the
//! most bytes a second from memory. Loops over registers alone, as a yardstick for real products.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use crate::floats::Floats;
use crate::level::{Isa, Level, Vectors};

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Rounds of a measurement. The best counts, because a shared machine only ever slows one down.
const ROUNDS: usize = 24;

/// Iterations of a loop over registers in a round, some milliseconds.
const ITERATIONS: usize = 200_000;

/// Values that each thread reads in a round: beyond any cache.
const VALUES: usize = 24 << 20;

/// FLOP/s of f32 multiply-adds, 2 each, in the registers of `level`, on `threads` threads.
pub fn f32_peak(level: Level, threads: usize) -> f64 {
    match level.vectors() {
        // SAFETY: a level exists only where the processor has its instructions.
        Vectors::Portable => best(threads, || (), |()| unsafe { multiply_adds::<[f32; 4], 8>() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Vectors::Avx2 => best(threads, || (), |()| unsafe { x86::f32_avx2() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Vectors::Avx512 => best(threads, || (), |()| unsafe { x86::f32_avx512() }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Vectors::Neon => best(threads, || (), |()| unsafe { arm::f32_neon() }),
    }
}

/// FLOP/s of multiply-adds of bfloat16, 2 each, on `threads` threads; `None` where `level` has no such products.
pub fn bf16_peak(level: Level, threads: usize) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if level.isa() == Isa::Avx512Bf16 {
        // SAFETY: a level exists only where the processor has its instructions.
        return Some(best(threads, || (), |()| unsafe { x86::bf16() }));
    }
    let _ = (level, threads);
    None
}

/// Operations a second of multiply-adds of bytes, 2 each, with the instructions that int8 products use at `level`, on
/// `threads` threads; `None` where they are left to the compiler.
pub fn int8_peak(level: Level, threads: usize) -> Option<f64> {
    let run: Option<fn(&mut ()) -> f64> = match level.isa() {
        Isa::Portable => None,
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Isa::Avx2 => Some(|()| unsafe { x86::int8_avx2() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Isa::AvxVnni => Some(|()| unsafe { x86::int8_avx_vnni() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Isa::Avx512 => Some(|()| unsafe { x86::int8_avx512() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Isa::Avx512Vnni | Isa::Avx512Bf16 => Some(|()| unsafe { x86::int8_avx512_vnni() }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Isa::Neon => Some(|()| unsafe { arm::int8_neon() }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Isa::NeonDotprod => Some(|()| unsafe { arm::int8_dotprod() }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Isa::NeonI8mm => Some(|()| unsafe { arm::int8_i8mm() }),
    };
    run.map(|run| best(threads, || (), run))
}

/// Bytes a second that `threads` threads together read from memory.
pub fn memory_peak(threads: usize) -> f64 {
    best(
        threads,
        || vec![1.0f32; VALUES],
        |values| {
            let sum = crate::simd(
                #[inline(always)]
                || crate::sum([&values[..]], |[value]| value),
            );
            black_box(sum);
            size_of_val(&values[..]) as f64
        },
    )
}

/// The most work a second of all threads together: each makes its state, then all run `work`, which says how much it
/// did, in rounds that begin together.
fn best<S>(threads: usize, state: impl Fn() -> S + Sync, work: impl Fn(&mut S) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let rounds = |_| {
        let mut state = state();
        let round = || {
            barrier.wait();
            let start = Instant::now();
            let done = work(&mut state);
            (done, start.elapsed().as_secs_f64())
        };
        std::iter::repeat_with(round).take(ROUNDS).collect::<Vec<_>>()
    };
    let all: Vec<Vec<(f64, f64)>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|i| scope.spawn(move || rounds(i))).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    });
    let rate = |round: usize| {
        let done: f64 = all.iter().map(|thread| thread[round].0).sum();
        let slowest = all.iter().map(|thread| thread[round].1).fold(0.0, f64::max);
        done / slowest
    };
    (0..ROUNDS).map(rate).fold(0.0, f64::max)
}

/// A loop over `$chains` independent registers of sums of type `$sum`, each of which takes `$macs` multiply-adds at a
/// time.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! chains {
    ($name:ident, $features:literal, $chains:literal of $macs:literal, $zero:expr, $operand:expr, $add:expr) => {
        /// The operations of independent chains of multiply-adds.
        #[target_feature(enable = $features)]
        pub fn $name() -> f64 {
            // Unlike beginnings, so that the compiler cannot see one chain in all.
            let mut sums = [0; $chains].map(|_: i32| std::hint::black_box($zero));
            let (x, y) = (std::hint::black_box($operand), std::hint::black_box($operand));
            for _ in 0..crate::peak::ITERATIONS {
                for sum in &mut sums {
                    *sum = $add(*sum, x, y);
                }
            }
            sums.into_iter().for_each(|sum| _ = std::hint::black_box(sum));
            (2 * crate::peak::ITERATIONS * $chains * $macs) as f64
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use chains;

/// The operations of `N` independent chains of multiply-adds in registers of type `F`.
///
/// # Safety
/// The processor has the instructions of `F`.
#[inline(always)]
unsafe fn multiply_adds<F: Floats, const N: usize>() -> f64 {
    // SAFETY: the caller's promise.
    unsafe {
        let [x, y] = [0.5, 0.25].map(|value| F::splat(black_box(value)));
        // Unlike beginnings, so that the compiler cannot see one chain in all.
        let mut sums: [F; N] = std::array::from_fn(|i| F::splat(black_box(i as f32)));
        for _ in 0..ITERATIONS {
            for sum in &mut sums {
                *sum = x.mul_add(y, *sum);
            }
        }
        let total = sums.into_iter().fold(F::zero(), |total, sum| total.add(sum));
        let mut lanes = [0.0f32; crate::WIDEST];
        total.store(lanes.as_mut_ptr());
        black_box(lanes);
    }
    (2 * ITERATIONS * N * F::LANES) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor of this century does between a hundred million and a hundred trillion operations a second.
    #[test]
    fn peaks_are_measured() {
        let sensible = |rate: f64| (1e8..1e14).contains(&rate);
        let level = Level::current();
        let (f32, int8, bf16) = (f32_peak(level, 1), int8_peak(level, 1), bf16_peak(level, 1));
        assert!(sensible(f32), "{f32}");
        assert!(int8.into_iter().chain(bf16).all(sensible), "{int8:?} {bf16:?}");
        assert!(sensible(memory_peak(1)));
    }

    #[test]
    fn rounds_add_up_what_all_threads_did_and_take_the_best() {
        let rate = best(
            2,
            || 0,
            |round| {
                *round += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
                if *round == 3 { 2000.0 } else { 1.0 }
            },
        );
        assert!(rate > 1000.0 && rate <= 4_000_000.0, "{rate}");
    }
}
