//! strata-metrics
