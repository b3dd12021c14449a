//! strata-model
