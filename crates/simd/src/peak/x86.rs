//! Loops over registers with the products of x86 processors.

use std::arch::x86_64::*;

use super::{chains, multiply_adds};

/// The operations of f32 multiply-adds; 12 of 16 registers are sums.
#[target_feature(enable = "avx2,fma")]
pub fn f32_avx2() -> f64 {
    // SAFETY: the caller has the instructions.
    unsafe { multiply_adds::<__m256, 12>() }
}

/// The operations of f32 multiply-adds; 24 of 32 registers are sums.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn f32_avx512() -> f64 {
    // SAFETY: the caller has the instructions.
    unsafe { multiply_adds::<__m512, 24>() }
}

chains!(bf16, "avx512f,avx512bf16", 24 of 32, _mm512_setzero_ps(), bf16_ones(), _mm512_dpbf16_ps);
chains!(int8_avx_vnni, "avx2,avxvnni", 12 of 32, _mm256_setzero_si256(), _mm256_set1_epi8(1), _mm256_dpbusd_avx_epi32);
chains!(int8_avx512_vnni, "avx512f,avx512vnni", 24 of 64, _mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_dpbusd_epi32);
// Without products of bytes, bytes are widened to 16 bits while they are loaded.
chains!(int8_avx2, "avx2", 12 of 16, _mm256_setzero_si256(), _mm256_set1_epi16(1), add_avx2);
chains!(int8_avx512, "avx512f,avx512bw", 24 of 32, _mm512_setzero_si512(), _mm512_set1_epi16(1), add_avx512);

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16_ones() -> __m512bh {
    _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0), _mm512_set1_ps(1.0))
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_avx2(sum: __m256i, x: __m256i, y: __m256i) -> __m256i {
    _mm256_add_epi32(sum, _mm256_madd_epi16(x, y))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add_avx512(sum: __m512i, x: __m512i, y: __m512i) -> __m512i {
    _mm512_add_epi32(sum, _mm512_madd_epi16(x, y))
}
