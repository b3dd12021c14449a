//! Gives the fuzzer's input to the parser that `STRATA_FUZZ` names. `bench/fuzz.sh` runs it for each.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strata_hostile::{TARGETS, Target, target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("STRATA_FUZZ").unwrap_or_default();
    let names = TARGETS.map(|target| target.name).join(", ");
    target(&name).unwrap_or_else(|| panic!("STRATA_FUZZ is `{name}`, not one of {names}"))
});

fuzz_target!(|data: &[u8]| {
    (TARGET.run)(data);
});
