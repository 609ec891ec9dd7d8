//! Standard input, carried to the agent by a thread of its own: it may be a file, a pipe or a
//! terminal, and not all of them can be waited for. Memory: three chunks.

use std::io::Read;

use tokio::sync::mpsc;

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// The bytes of standard input as they come.
#[derive(Debug, Default)]
pub struct Stdin {
    chunks: Option<mpsc::Receiver<Vec<u8>>>,
    chunk: Vec<u8>,
    taken: usize,
}

impl Stdin {
    /// No standard input: nothing ever comes.
    #[must_use]
    pub fn absent() -> Self {
        Self::default()
    }

    /// Starts reading. The thread ends with the input, or after one chunk more when this is dropped.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(input: impl Read + Send + 'static) -> std::io::Result<Self> {
        let (sender, chunks) = mpsc::channel(1);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || carry(input, &sender))?;
        Ok(Self { chunks: Some(chunks), ..Self::default() })
    }

    /// Waits for bytes; at the end of the input, says so once and then waits for ever. While bytes
    /// are [`waiting`](Self::waiting) it also waits for ever. May be dropped at any time.
    pub async fn arrived(&mut self) -> Arrived {
        if !self.waiting().is_empty() {
            return std::future::pending().await;
        }
        let Some(chunks) = &mut self.chunks else { return std::future::pending().await };
        match chunks.recv().await {
            Some(chunk) => {
                (self.chunk, self.taken) = (chunk, 0);
                Arrived::Bytes
            }
            None => {
                self.chunks = None;
                Arrived::End
            }
        }
    }

    /// Bytes that arrived and were not yet taken.
    #[must_use]
    pub fn waiting(&self) -> &[u8] {
        self.chunk.get(self.taken..).unwrap_or_default()
    }

    /// The first `count` of the waiting bytes are done with.
    pub fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
    }
}

/// What came from standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Bytes, now waiting.
    Bytes,
    /// Its end.
    End,
}

fn carry(mut input: impl Read, sender: &mpsc::Sender<Vec<u8>>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                if sender.blocking_send(chunk).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                log::error!("standard input cannot be read any further: {error}");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_byte_arrives_once_and_the_end_is_said_once() {
        let input: Vec<u8> = (0..=255).cycle().take(CHUNK_BYTES * 2 + 5).collect();
        let mut stdin = Stdin::start(std::io::Cursor::new(input.clone())).unwrap();
        let mut output = Vec::new();
        while stdin.arrived().await == Arrived::Bytes {
            while !stdin.waiting().is_empty() {
                let count = stdin.waiting().len().min(1_000);
                output.extend_from_slice(&stdin.waiting()[..count]);
                stdin.take(count);
            }
        }
        assert!(output == input);
        let more = tokio::time::timeout(std::time::Duration::from_millis(5), stdin.arrived()).await;
        assert!(more.is_err());
    }
}
