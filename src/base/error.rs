//! What can go wrong, exactly as it crosses the C ABI: a kind and a sentence.

use std::fmt;

/// Kind of a failure; each is one status of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller passed something wrong: null, a size, a dtype, a shape, an option.
    InvalidArgument,
    /// Header, flatbuffer or graph of the program is malformed.
    InvalidBlob,
    /// A known operator with arguments that this library does not do.
    Unsupported,
    /// An operator that this library does not know.
    UnknownOperator,
    /// A named constant that the host could not supply.
    MissingData,
    /// Host or device memory, or a stated limit, is too small.
    OutOfMemory,
    /// No Vulkan loader, no device, or not the one asked for.
    NoDevice,
    /// The device was lost; every delegate on it must be destroyed.
    DeviceLost,
    /// The device did not finish in time.
    Timeout,
    /// A broken invariant of this library.
    Internal,
}

/// A failure: its kind, and a message that names the node, value or byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// What happened, with the offending numbers.
    pub message: String,
}

/// Result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What a message quotes may be long: a list of the program, say. The rest is cut.
const MAX_MESSAGE_BYTES: usize = 4096;

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            let end = (0..=MAX_MESSAGE_BYTES)
                .rev()
                .find(|&i| message.is_char_boundary(i));
            message.truncate(end.unwrap_or(0));
            message.push_str(" ...");
        }
        Self { kind, message }
    }

    /// The caller's mistake.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// A malformed program.
    pub fn blob(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidBlob, message)
    }

    /// A known operator in a form that is not supported.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A broken invariant of this library.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The same error with its place in front: `node 12 (aten.convolution.default): ...`.
    #[must_use]
    pub fn context(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
