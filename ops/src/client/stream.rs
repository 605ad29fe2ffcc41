//! Answers of one JSON object a line, read as they come.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use crate::error::CliError;
use crate::http::Gateway;

/// Longest line: a path of ten thousand parts and a check result with every share of every peer stay far below.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The lines of an answer. Ends after the last line, or after the first error.
pub struct Lines {
    gateway: Gateway,
    reader: BufReader<Box<dyn Read>>,
    read_bytes: u64,
    over: bool,
}

impl Lines {
    pub(super) fn new(gateway: Gateway, reader: impl Read + 'static) -> Lines {
        Lines {
            gateway,
            reader: BufReader::new(Box::new(reader)),
            read_bytes: 0,
            over: false,
        }
    }

    fn line(&mut self) -> Result<Option<Value>, CliError> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.reader)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line);
            let got = read.map_err(|error| self.gateway.cut_short(self.read_bytes, &error))?;
            self.read_bytes += got as u64;
            if got == 0 {
                return Ok(None);
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            // After the status line was sent, a failure can only be told in the body.
            if let Some(sentence) = text.strip_prefix("ERROR:") {
                return Err(CliError::Deep {
                    sentence: sentence.trim().to_owned(),
                });
            }
            let value = serde_json::from_str(text);
            return value
                .map(Some)
                .map_err(|_| self.gateway.odd("a line that is not JSON"));
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Value, CliError>;

    fn next(&mut self) -> Option<Result<Value, CliError>> {
        if self.over {
            return None;
        }
        let line = self.line().transpose();
        self.over = !matches!(line, Some(Ok(_)));
        line
    }
}
