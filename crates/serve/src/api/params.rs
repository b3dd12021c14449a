//! A request's parameters, in whatever form: JSON, a form, a form with files, or the query string.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use strata_documents::json_fault;

use crate::error::{Answer, ApiError};

/// A file that a client sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Bytes,
}

/// Values by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    values: Map<String, Value>,
    /// The field `file` of a form with files.
    pub file: Option<Upload>,
    /// The key of the header `Authorization`.
    authorization: Option<String>,
}

impl Params {
    /// Reads a request whose body has at most `most` bytes and arrives within `time`.
    ///
    /// # Errors
    /// 400 for a body in no known form, 408 for one that is late, 413 for one that is too large.
    pub async fn read(request: Request, most: usize, time: Duration) -> Answer<Self> {
        tokio::time::timeout(time, Self::read_all(request, most))
            .await
            .unwrap_or_else(|_| Err(ApiError::slow_client("the request's body did not come in time")))
    }

    async fn read_all(request: Request, most: usize) -> Answer<Self> {
        let mut params = Self::default();
        let headers = request.headers().clone();
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let authorization = header(AUTHORIZATION).and_then(|value| value.split_once(' '));
        let schemes = ["DeepL-Auth-Key", "Bearer"];
        let of_scheme = |(scheme, _): &(&str, &str)| schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme));
        params.authorization = authorization.filter(of_scheme).map(|(_, key)| key.trim().to_string());
        params.add_form(request.uri().query().unwrap_or("").as_bytes());
        let too_large = || ApiError::too_large(format!("the body is larger than {most} bytes"));
        let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > most as u64) {
            // A client that waits for `100 Continue` gets the answer at once, and so does one that announces too much
            // even to discard.
            let little = length.is_some_and(|length| length <= DISCARDED as u64);
            if little && header(EXPECT).is_none() {
                discard(request.into_body()).await;
            }
            return Err(too_large());
        }
        let kind = header(CONTENT_TYPE).unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if kind == "multipart/form-data" {
            let (parts, body) = request.into_parts();
            let limited = Request::from_parts(parts, Body::new(Limited::new(body, most)));
            return params.add_multipart(limited).await.map(|()| params);
        }
        let mut sent = request.into_body();
        let body = match Limited::new(&mut sent, most).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                discard(sent).await;
                return Err(too_large());
            }
            Err(_) => return Err(ApiError::invalid("the body could not be read")),
        };
        match kind.as_str() {
            _ if body.is_empty() => {}
            "application/json" => {
                // A mark of the byte order, which some programs write, is no part of JSON.
                let json = std::str::from_utf8(&body).map_err(|_| ApiError::invalid("the body is not UTF-8"))?;
                let json = json.trim_start_matches('\u{feff}');
                let value: Value = serde_json::from_str(json)
                    .map_err(|error| ApiError::invalid(format!("the body is {}", json_fault(&error))))?;
                let Value::Object(object) = value else {
                    return Err(ApiError::invalid("the body must be a JSON object"));
                };
                params.values.extend(object);
            }
            "application/x-www-form-urlencoded" => params.add_form(&body),
            _ => {
                let forms = "application/json, application/x-www-form-urlencoded or multipart/form-data";
                return Err(ApiError::invalid(format!("the Content-Type must be {forms}")));
            }
        }
        Ok(params)
    }

    /// A name that occurs several times becomes an array.
    fn add_form(&mut self, form: &[u8]) {
        for (name, value) in form_urlencoded::parse(form) {
            self.add(&name, Value::String(value.into_owned()));
        }
    }

    fn add(&mut self, name: &str, value: Value) {
        match self.values.get_mut(name) {
            Some(Value::Array(values)) => values.push(value),
            Some(other) => {
                let first = other.take();
                *other = Value::Array(vec![first, value]);
            }
            None => {
                self.values.insert(name.to_string(), value);
            }
        }
    }

    async fn add_multipart(&mut self, request: Request) -> Answer<()> {
        let fault = |error: axum::extract::multipart::MultipartError| {
            let status = error.status();
            if status == axum::http::StatusCode::PAYLOAD_TOO_LARGE || status.is_server_error() {
                ApiError::too_large("the form is too large")
            } else {
                ApiError::invalid("the form cannot be read")
            }
        };
        let form = Multipart::from_request(request, &()).await;
        let mut form = form.map_err(|_| ApiError::invalid("the form has no boundary"))?;
        while let Some(field) = form.next_field().await.map_err(fault)? {
            let name = field.name().unwrap_or("").to_string();
            if let Some(file) = field.file_name().map(str::to_string) {
                let content = field.bytes().await.map_err(fault)?;
                if name == "file" {
                    self.file = Some(Upload { name: file, content });
                }
            } else {
                let text = field.text().await.map_err(fault)?;
                self.add(&name, Value::String(text));
            }
        }
        Ok(())
    }

    /// A text; none if it is missing or empty.
    ///
    /// # Errors
    /// 400 for a value that is not a text, or for several.
    pub fn text(&self, name: &str) -> Answer<Option<&str>> {
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(ApiError::invalid(format!("{name} must be one text"))),
        }
    }

    /// A required text.
    ///
    /// # Errors
    /// 400 without it, in LibreTranslate's words.
    pub fn required(&self, name: &str) -> Answer<&str> {
        self.text(name)?.ok_or_else(|| ApiError::invalid(format!("Invalid request: missing {name} parameter")))
    }

    /// One text or several, and whether they came as an array.
    ///
    /// # Errors
    /// 400 without any, and for values that are not texts.
    pub fn texts(&self, name: &str) -> Answer<(Vec<String>, bool)> {
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(ApiError::invalid(format!("{name} must be text, or an array of texts"))),
        };
        match self.values.get(name) {
            None | Some(Value::Null) => Err(ApiError::invalid(format!("Invalid request: missing {name} parameter"))),
            Some(Value::Array(values)) => Ok((values.iter().map(text).collect::<Answer<_>>()?, true)),
            Some(value) => Ok((vec![text(value)?], false)),
        }
    }

    /// A whole number, 0 or more; forms have it as text.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn number(&self, name: &str) -> Answer<Option<usize>> {
        let number = match self.values.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| ApiError::invalid(format!("{name} must be a whole number, 0 or more")))
    }

    /// Whether something is said under a name.
    pub fn is_said(&self, name: &str) -> bool {
        !matches!(self.values.get(name), None | Some(Value::Null))
    }

    /// Names in a list: an array, or a text with commas between them.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn list(&self, name: &str) -> Answer<Vec<String>> {
        if !self.is_said(name) {
            return Ok(Vec::new());
        }
        let names = self.texts(name)?.0;
        let names = names.iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_string());
        Ok(names.filter(|name| !name.is_empty()).collect())
    }

    /// One of several words; numbers and flags are such words, too.
    ///
    /// # Errors
    /// 400 for lists and objects.
    pub fn choice(&self, name: &str) -> Answer<Option<String>> {
        match self.values.get(name) {
            Some(Value::Bool(said)) => Ok(Some(said.to_string())),
            Some(Value::Number(said)) => Ok(Some(said.to_string())),
            _ => self.text(name).map(|text| text.map(str::to_string)),
        }
    }

    /// A flag: `true` or `1`, also as text; `false` if it is missing.
    ///
    /// # Errors
    /// 400 for anything but true or false.
    pub fn flag(&self, name: &str) -> Answer<bool> {
        match self.values.get(name) {
            None | Some(Value::Null | Value::Bool(false)) => Ok(false),
            Some(Value::Bool(true)) => Ok(true),
            Some(Value::Number(number)) if matches!(number.as_u64(), Some(0 | 1)) => Ok(number.as_u64() == Some(1)),
            Some(Value::String(text)) if ["", "0", "false"].contains(&text.as_str()) => Ok(false),
            Some(Value::String(text)) if ["1", "true"].contains(&text.as_str()) => Ok(true),
            Some(_) => Err(ApiError::invalid(format!("{name} must be true or false"))),
        }
    }

    /// The client's key, wherever it is.
    ///
    /// # Errors
    /// 400 for one that is not a text.
    pub fn key(&self) -> Answer<Option<&str>> {
        let said = self.text("api_key")?.or(self.text("auth_key")?);
        Ok(self.authorization.as_deref().or(said))
    }
}

/// Bytes of a body that is too large which are read all the same.
const DISCARDED: usize = 16 << 20;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Reads the rest of a body that is too large, up to a limit, and discards it. Closing a connection with unread bytes
/// resets it, and most clients send everything before they read: they would never see why they were refused.
async fn discard(mut body: Body) {
    let mut left = DISCARDED;
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // A client that is too slow gets the answer all the same.
    let _ = tokio::time::timeout(DISCARD_TIME, all).await;
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn read(kind: &str, body: &str) -> Answer<Params> {
        let request = Request::post("/translate?target=de&api_key=k").header(CONTENT_TYPE, kind);
        let request = request.body(Body::from(body.to_string())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(Params::read(request, 400, Duration::from_secs(5)))
    }

    #[test]
    fn forms_and_json_say_the_same() {
        let form = read("application/x-www-form-urlencoded", "q=a+b%21&alternatives=3&source=").unwrap();
        let json =
            read("application/json; charset=utf-8", r#"{"q": "a b!", "alternatives": 3, "source": null}"#).unwrap();
        let body = "--x\r\ncontent-disposition: form-data; name=\"q\"\r\n\r\na b!\r\n--x\r\ncontent-disposition: form-data; \
                    name=\"alternatives\"\r\n\r\n3\r\n--x\r\ncontent-disposition: form-data; name=\"file\"; \
                    filename=\"f.txt\"\r\n\r\nhello\r\n--x--\r\n";
        let multipart = read("multipart/form-data; boundary=x", body).unwrap();
        assert_eq!(multipart.file, Some(Upload { name: "f.txt".into(), content: Bytes::from("hello") }));
        for params in [form, json, multipart] {
            assert_eq!(params.texts("q"), Ok((vec!["a b!".to_string()], false)));
            assert_eq!((params.number("alternatives"), params.text("source")), (Ok(Some(3)), Ok(None)));
            assert_eq!((params.required("target"), params.key()), (Ok("de"), Ok(Some("k"))));
            assert!(params.required("source").unwrap_err().message.contains("missing source"));
        }
        let several = read("application/x-www-form-urlencoded", "text=a&text=b&text=c").unwrap();
        assert_eq!(several.texts("text"), Ok((vec!["a".into(), "b".into(), "c".into()], true)));
    }

    #[test]
    fn bad_bodies_are_refused_in_kind() {
        for (kind, body, word) in [
            ("application/json", "{\"q\": \"secret", "line 1 column"),
            ("application/json", "[1]", "object"),
            ("application/json", &"[".repeat(390), "no JSON"),
            ("text/plain", "hello", "Content-Type"),
            ("multipart/form-data", "x", "boundary"),
            ("multipart/form-data; boundary=x", "nonsense", "form"),
        ] {
            let error = read(kind, body).unwrap_err();
            assert_eq!(error.status, StatusCode::BAD_REQUEST, "{body}");
            assert!(error.message.contains(word) && !error.message.contains("secret"), "{}", error.message);
        }
        let large = "x".repeat(401);
        for kind in ["application/json", "multipart/form-data; boundary=x"] {
            assert_eq!(read(kind, &large).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        }
        let form = |value: &str| read("application/x-www-form-urlencoded", &format!("f={value}"))?.flag("f");
        let json = read("application/json", r#"{"q": [1], "alternatives": -1, "n": 1.5, "source": {}}"#).unwrap();
        assert!(json.texts("q").is_err() && json.number("alternatives").is_err() && json.number("n").is_err());
        assert!(form("yes").is_err() && form("1") == Ok(true) && form("") == Ok(false));
        assert!(json.text("source").is_err() && json.number("source").is_err());
    }
}
