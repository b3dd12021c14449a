//! strata-kernels
