//! Why a document cannot be read or written.

/// Why a document cannot be read or written; never contains its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not what its name says, or is damaged.
    #[error("{0}")]
    Invalid(String),
    /// There is more in it than the caller's limits allow.
    #[error("{0}")]
    TooLarge(String),
}

/// What reading and writing documents gives.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Not what its name says, or damaged.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// More than the limits allow.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::TooLarge(message.into())
    }
}
