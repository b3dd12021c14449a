//! strata-corpus
