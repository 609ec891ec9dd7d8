//! A broker whose every packet the test decides: MQTT 3.1.1 (OASIS, 2014), as much as the link uses.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const DISCONNECT: u8 = 14;

pub(crate) struct Broker {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection, seen from the broker.
pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    pub(crate) connect: Connect,
}

/// What the client said of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) client_id: String,
    pub(crate) is_clean: bool,
    pub(crate) keep_alive_s: u16,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) id: u16,
    pub(crate) flags: u8,
}

impl Broker {
    pub(crate) async fn plain() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), tls: None }
    }

    pub(crate) async fn tls(config: ServerConfig) -> Self {
        Self { tls: Some(Arc::new(config).into()), ..Self::plain().await }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// The next connection whose TLS, if any, succeeds on this side and that says CONNECT.
    pub(crate) async fn accept(&self) -> Peer {
        loop {
            let tcp = self.tcp().await;
            let mut stream: Box<dyn Stream> = match &self.tls {
                None => Box::new(tcp),
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => continue,
                },
            };
            let Some((first, body)) = read_packet(&mut stream).await else { continue };
            assert_eq!(first >> 4, CONNECT);
            return Peer { stream, connect: Connect::parse(&body) };
        }
    }

    /// A connection that does not get as far as CONNECT.
    pub(crate) async fn accept_none(&self) {
        let tcp = self.tcp().await;
        if let Some(tls) = &self.tls {
            assert!(tls.accept(tcp).await.is_err());
        }
    }

    /// A connection that is accepted and subscribed.
    pub(crate) async fn accept_up(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.connack(0).await;
        peer.subscription(&[1, 1]).await;
        peer
    }
}

impl Peer {
    async fn write(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut left = body.len();
        loop {
            let more = if left > 127 { 0x80 } else { 0 };
            packet.push((left % 128) as u8 | more);
            left /= 128;
            if left == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.stream.write_all(&packet).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn connack(&mut self, code: u8) {
        self.write(CONNACK << 4, &[0, code]).await;
    }

    /// Reads a packet of this kind; acknowledgements before it are passed over.
    async fn expect(&mut self, kind: u8) -> (u8, Vec<u8>) {
        loop {
            let (first, body) = read_packet(&mut self.stream).await.expect("a packet");
            if first >> 4 == kind {
                return (first, body);
            }
            assert_eq!(first >> 4, PUBACK);
        }
    }

    /// Reads SUBSCRIBE and answers with these codes. Returns the topics.
    pub(crate) async fn subscription(&mut self, codes: &[u8]) -> Vec<String> {
        let (_, body) = self.expect(SUBSCRIBE).await;
        let mut topics = Vec::new();
        let mut at = 2;
        while at < body.len() {
            topics.push(text(&body, &mut at));
            assert_eq!(body[at], 1, "QoS 1");
            at += 1;
        }
        let mut answer = body[..2].to_vec();
        answer.extend_from_slice(codes);
        self.write(SUBACK << 4, &answer).await;
        topics
    }

    /// The next PUBLISH, not acknowledged.
    pub(crate) async fn message(&mut self) -> Publish {
        let (first, body) = self.expect(PUBLISH).await;
        let mut at = 0;
        let topic = text(&body, &mut at);
        let id = u16::from_be_bytes([body[at], body[at + 1]]);
        Publish { topic, payload: body[at + 2..].to_vec(), id, flags: first & 0xf }
    }

    pub(crate) async fn puback(&mut self, id: u16) {
        self.write(PUBACK << 4, &id.to_be_bytes()).await;
    }

    /// Publishes to the client with QoS 1.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8]) {
        let mut body = (topic.len() as u16).to_be_bytes().to_vec();
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(&[0, 7]);
        body.extend_from_slice(payload);
        self.write(PUBLISH << 4 | 2, &body).await;
    }

    /// Whether the client says good-bye before it goes.
    pub(crate) async fn goodbye(&mut self) -> bool {
        while let Some((first, _)) = read_packet(&mut self.stream).await {
            if first >> 4 == DISCONNECT {
                return true;
            }
        }
        false
    }
}

impl Connect {
    fn parse(body: &[u8]) -> Self {
        assert_eq!(&body[..7], b"\0\x04MQTT\x04", "MQTT 3.1.1");
        let flags = body[7];
        let mut at = 10;
        let client_id = text(body, &mut at);
        let username = (flags & 0x80 != 0).then(|| text(body, &mut at));
        let password = (flags & 0x40 != 0).then(|| text(body, &mut at));
        let keep_alive_s = u16::from_be_bytes([body[8], body[9]]);
        Self { client_id, is_clean: flags & 2 != 0, keep_alive_s, username, password }
    }
}

fn text(body: &[u8], at: &mut usize) -> String {
    let len = usize::from(u16::from_be_bytes([body[*at], body[*at + 1]]));
    let text = String::from_utf8(body[*at + 2..*at + 2 + len].to_vec()).unwrap();
    *at += 2 + len;
    text
}

async fn read_packet(stream: &mut Box<dyn Stream>) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let (mut len, mut shift) = (0usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some((first, body))
}
