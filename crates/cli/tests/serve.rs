//! `strata serve` through the binary, on a port of its own: both APIs, limits, keys, what bad clients may do, and its
//! end.

mod common;

mod serve {
    mod browser;
    mod clients;
    mod deepl;
    mod files;
    mod keys;
    mod lifetime;
    mod limits;
    mod models;
    mod proxy;
    mod route;
    mod translate;
}
