//! Why a server cannot start, and the answers to requests that fail, in LibreTranslate's form.

use std::path::PathBuf;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model that cannot be served.
    #[error(transparent)]
    Model(#[from] strata_translate::Error),
    /// Invalid settings, and what to do about them.
    #[error("{0}")]
    Settings(String),
    /// A line of the key file that cannot be used.
    #[error("{}: line {line}: {fault}", path.display())]
    KeyLine {
        /// The key file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// A key file without a key: such a server would refuse everyone.
    #[error("{}: no keys in it", path.display())]
    NoKeys {
        /// The key file.
        path: PathBuf,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
}

/// What is wrong with a line of a key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It does not have three words.
    #[error("not `NAME SHA256 REQUESTS_PER_MINUTE`; make a new line")]
    Form,
    /// The second word is not a hash.
    #[error("the second word is no SHA-256 in hexadecimal")]
    Hash,
    /// The third word is not a number.
    #[error("`{0}` is no number of requests per minute")]
    Rate(String),
    /// An earlier line has the same name.
    #[error("a second key named `{0}`")]
    SecondName(String),
}

/// An answer other than success.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// 400, 403, 404, 405, 408, 413, 421, 429, 500 or 503.
    pub status: StatusCode,
    /// What is wrong and what to do; never contains the user's text.
    pub message: String,
    /// Seconds until another try is worthwhile.
    pub retry_after: Option<u64>,
}

/// Why a request failed, in the answer's extensions: for the log.
#[derive(Clone, Debug)]
pub struct Reason(pub String);

/// What handlers return.
pub type Answer<T> = Result<T, ApiError>;

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    /// 400
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 403
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 408
    pub fn slow_client(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, message)
    }

    /// 413
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 429
    pub fn busy(message: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// 500
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 503
    pub fn unavailable(message: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }
}

/// 400 or 413.
impl From<strata_documents::Error> for ApiError {
    fn from(error: strata_documents::Error) -> Self {
        match error {
            strata_documents::Error::Invalid(why) => Self::invalid(why),
            strata_documents::Error::TooLarge(why) => Self::too_large(why),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // LibreTranslate's clients read `error`, DeepL's `message`.
        let body = serde_json::json!({ "error": self.message, "message": self.message });
        let mut response = (self.status, Json(body)).into_response();
        response.extensions_mut().insert(Reason(self.message));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
