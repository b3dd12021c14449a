//! strata-recipe
