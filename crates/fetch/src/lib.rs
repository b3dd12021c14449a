//! strata-fetch
