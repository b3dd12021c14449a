//! strata-train
