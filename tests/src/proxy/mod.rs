//! A bad line between one device and the broker: a TCP proxy that can cut, delay, throttle and
//! corrupt, and counts what passes.
//!
//! Four threads for each connection; all of them end when the proxy is dropped.

mod packets;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock;
use packets::Packets;

const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Pieces of a stream that are under way in the line at once.
const PIECES_MAX: usize = 64;
const PIECE_BYTES: usize = 16 * 1024;

/// The proxy: listens until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    line: Arc<Line>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

/// The handle by which a line is made worse or better.
#[derive(Debug, Default)]
pub struct Line {
    is_closed: AtomicBool,
    is_cut: AtomicBool,
    delay_us: AtomicU64,
    rate: AtomicU64,
    to_corrupt: AtomicU32,
    corrupted: AtomicU32,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    connections: AtomicU64,
    /// The streams that are open, in pairs.
    open: Mutex<Vec<(u64, TcpStream, TcpStream)>>,
}

impl Proxy {
    /// Begins to listen on a port of loopback and to pass everything to `upstream` and back.
    ///
    /// # Errors
    /// When no port can be had or no thread be started.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::ports::free()?))?;
        let address = listener.local_addr()?;
        let line = Arc::new(Line::default());
        let its = Arc::clone(&line);
        let thread = thread::Builder::new().name("proxy".to_owned());
        let listener = Some(thread.spawn(move || listen(&listener, upstream, &its))?);
        Ok(Self { line, address, listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The line.
    #[must_use]
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.is_closed.store(true, SeqCst);
        self.line.cut();
        // Wakes the listening thread, which then sees that it is over.
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_WAIT);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Line {
    /// Cuts it: every connection is dropped, new ones are closed at once.
    pub fn cut(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_cut.store(true, SeqCst);
        for (_, one, other) in open.drain(..) {
            let _ = (one.shutdown(Shutdown::Both), other.shutdown(Shutdown::Both));
        }
    }

    /// Mends a cut.
    pub fn mend(&self) {
        self.is_cut.store(false, SeqCst);
    }

    /// Whether it is cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(SeqCst)
    }

    /// From now on everything takes this long, each way.
    pub fn delay(&self, by: Duration) {
        self.delay_us.store(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), SeqCst);
    }

    /// From now on no more than this many bytes pass in a second, each way; 0 for no limit.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.rate.store(bytes_per_second, SeqCst);
    }

    /// Changes one byte of the next message from the device that carries an item.
    pub fn corrupt_next(&self) {
        self.to_corrupt.fetch_add(1, SeqCst);
    }

    /// Messages that were changed.
    #[must_use]
    pub fn corrupted(&self) -> u32 {
        self.corrupted.load(SeqCst)
    }

    /// Bytes that came from the device.
    #[must_use]
    pub fn bytes_up(&self) -> u64 {
        self.bytes_up.load(SeqCst)
    }

    /// Bytes that came from the broker.
    #[must_use]
    pub fn bytes_down(&self) -> u64 {
        self.bytes_down.load(SeqCst)
    }

    /// Connections that were made through it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(SeqCst)
    }

    /// Keeps a pair of streams so that it can be cut; refuses it when the line is cut already.
    fn admit(&self, id: u64, one: &TcpStream, other: &TcpStream) -> io::Result<()> {
        let pair = (id, one.try_clone()?, other.try_clone()?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_cut() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        open.push(pair);
        self.connections.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Ends a pair of streams.
    fn part(&self, id: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(its, one, other)| {
            if *its == id {
                let _ = (one.shutdown(Shutdown::Both), other.shutdown(Shutdown::Both));
            }
            *its != id
        });
    }

    fn take_corruption(&self) -> bool {
        self.to_corrupt.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

fn listen(listener: &TcpListener, upstream: SocketAddr, line: &Arc<Line>) {
    for (id, stream) in (0..).zip(listener.incoming()) {
        if line.is_closed.load(SeqCst) {
            return;
        }
        // A connection that cannot be passed on is closed by dropping it.
        if let Ok(stream) = stream
            && !line.is_cut()
        {
            let _ = connect(id, stream, upstream, line);
        }
    }
}

fn connect(id: u64, device: TcpStream, upstream: SocketAddr, line: &Arc<Line>) -> io::Result<()> {
    let broker = TcpStream::connect_timeout(&upstream, CONNECT_WAIT)?;
    device.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    line.admit(id, &device, &broker)?;
    carry(id, device.try_clone()?, broker.try_clone()?, true, line);
    carry(id, broker, device, false, line);
    Ok(())
}

/// A piece of a stream and when it is due at the other end.
type Piece = (Instant, Vec<u8>);

fn carry(id: u64, from: TcpStream, to: TcpStream, is_up: bool, line: &Arc<Line>) {
    let (sender, receiver) = sync_channel::<Piece>(PIECES_MAX);
    let (read, write) = (Arc::clone(line), Arc::clone(line));
    thread::spawn(move || take(from, is_up, &sender, &read));
    thread::spawn(move || {
        give(to, &receiver, &write);
        write.part(id);
    });
}

fn take(mut from: TcpStream, is_up: bool, sender: &SyncSender<Piece>, line: &Line) {
    let mut packets = Packets::default();
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(count) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get_mut(..count).filter(|bytes| !bytes.is_empty()) else { return };
        let counter = if is_up { &line.bytes_up } else { &line.bytes_down };
        counter.fetch_add(count as u64, SeqCst);
        if is_up {
            let changed = packets.pass(bytes, || line.take_corruption());
            line.corrupted.fetch_add(changed, SeqCst);
        }
        let due = clock::now() + Duration::from_micros(line.delay_us.load(SeqCst));
        if sender.send((due, bytes.to_vec())).is_err() {
            return;
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<Piece>, line: &Line) {
    while let Ok((due, bytes)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(clock::now()));
        if let Some(us) = (bytes.len() as u64 * 1_000_000).checked_div(line.rate.load(SeqCst)) {
            thread::sleep(Duration::from_micros(us));
        }
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends everything back, and a line to it.
    fn echo() -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
            }
        });
        Proxy::start(address).unwrap()
    }

    fn said_back(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
        stream.write_all(bytes).unwrap();
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).unwrap();
        back
    }

    #[test]
    fn bytes_pass_both_ways_and_are_counted() {
        let proxy = echo();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        assert_eq!(said_back(&mut stream, &[9; 100_000]), [9; 100_000]);
        assert_eq!(proxy.line().bytes_up(), 100_000);
        assert_eq!(proxy.line().bytes_down(), 100_000);
        assert_eq!(proxy.line().connections(), 1);
    }

    #[test]
    fn a_cut_ends_what_is_open_and_refuses_what_comes_until_it_is_mended() {
        let proxy = echo();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        said_back(&mut stream, b"hello");
        proxy.line().cut();
        assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
        let mut refused = TcpStream::connect(proxy.address()).unwrap();
        assert!(matches!(refused.read(&mut [0; 8]), Ok(0) | Err(_)));
        proxy.line().mend();
        let mut again = TcpStream::connect(proxy.address()).unwrap();
        assert_eq!(said_back(&mut again, b"again"), b"again");
    }

    #[test]
    fn a_delay_holds_everything_back_for_that_long_at_least() {
        let proxy = echo();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        said_back(&mut stream, b"hello");
        proxy.line().delay(Duration::from_millis(60));
        let before = clock::now();
        said_back(&mut stream, b"hello");
        assert!(clock::now() - before >= Duration::from_millis(120));
    }

    #[test]
    fn a_throttle_lets_no_more_through_than_it_says() {
        let proxy = echo();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        proxy.line().throttle(100_000);
        let before = clock::now();
        said_back(&mut stream, &[1; 10_000]);
        assert!(clock::now() - before >= Duration::from_millis(190));
    }

    #[test]
    fn one_message_is_corrupted_and_the_next_is_not() {
        let proxy = echo();
        proxy.line().corrupt_next();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        let mut publish = vec![0x32, 0xe8, 0x07];
        publish.resize(3 + 1000, 0);
        assert_ne!(said_back(&mut stream, &publish), publish);
        assert_eq!(said_back(&mut stream, &publish), publish);
        assert_eq!(proxy.line().corrupted(), 1);
    }
}
