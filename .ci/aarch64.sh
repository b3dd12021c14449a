#!/usr/bin/env bash
# Compiles the code for ARM and, where qemu is there, runs the tests of its kernels at every instruction level. Models and
# commands, which hold no code for a processor and take long to compile, are left out: the tests run in a copy of the
# sources in which inference needs no models for its tests, and the products of training are a crate by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(uname -m)" = aarch64 ]; then
  echo 'this is an ARM processor: all tests run on it anyway'
  exit 0
fi

target=aarch64-unknown-linux-gnu
rustup target list --installed 2>/dev/null | grep -qx $target || rustup target add $target >/dev/null 2>&1 || {
  echo "the standard library for $target could not be had: nothing was compiled for ARM"
  exit 0
}
command -v aarch64-linux-gnu-gcc >/dev/null || {
  echo 'no C compiler for ARM (gcc-aarch64-linux-gnu): nothing was compiled for it'
  exit 0
}

copy=target/aarch64
rm -rf $copy
mkdir -p $copy/crates/products/src
cp -r crates Cargo.toml Cargo.lock rust-toolchain.toml $copy
sed -i '/^strata-model.workspace/d' $copy/crates/runtime/Cargo.toml
cat >$copy/crates/products/Cargo.toml <<'MANIFEST'
[package]
name = "strata-products"
edition.workspace = true
version.workspace = true

[dependencies]
rayon.workspace = true
strata-simd.workspace = true
MANIFEST
cat >$copy/crates/products/src/lib.rs <<'SOURCE'
#![allow(dead_code)]
mod precision {
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub enum MatmulPrecision {
        F32,
        Bf16,
    }
}
#[path = "../../kernels/src/buffer.rs"]
mod buffer;
#[path = "../../kernels/src/gemm/mod.rs"]
mod gemm;
SOURCE

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu'
# Emulated code is slow: it is worth optimizing.
export CARGO_PROFILE_DEV_OPT_LEVEL=${CARGO_PROFILE_DEV_OPT_LEVEL:-2} CARGO_PROFILE_DEV_DEBUG=0
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cd $copy
tests() { timeout 900 cargo test --quiet --target $target --lib "$@"; }

tests -p strata-mt-simd -p strata-products -p strata-mt-runtime --no-run
if ! command -v qemu-aarch64 >/dev/null; then
  echo 'qemu-aarch64 (qemu-user) is not installed: code for ARM was compiled, not run'
  exit 0
fi
# Each level by itself: a test program that qemu runs cannot start itself once more. Tests of products go through all
# levels themselves.
for level in portable neon neon-dotprod neon-i8mm; do
  echo "STRATA_ISA=$level"
  STRATA_ISA=$level tests -p strata-mt-simd
  STRATA_ISA=$level tests -p strata-mt-runtime -- kernels::
done
STRATA_ISA=neon-i8mm tests -p strata-products -p strata-mt-runtime -- gemm:: linear::
