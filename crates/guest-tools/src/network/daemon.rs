//! The process that listens inside the guest and asks the host.
//!
//! ```text
//! waiting for Configure ─▶ setting up ─▶ Ready ─▶ serving ─┬─ Stop: taken down
//!                              └─▶ Failed                  └─ killed: nothing passes
//! ```
//!
//! A thread per listener and one that hears the host. All they share is behind
//! one lock that nobody holds while waiting, and standard output behind another.
//! One daemon at a time: a machine that is restored may still have an older one,
//! which takes its network down as soon as it notices that its host is gone.
//! If the host does not read, the listeners wait, and what arrives then is bounded
//! by the sockets' own queues.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use guest_protocol::egress::{DATAGRAM_MAX, GuestMessage, HostMessage, decode, encode};
use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst, set_socket_linger};

use super::questions::{Asker, Questions, serve};
use super::redirect::{self, Ports};
use super::{NetworkError, files, handover, interface};

/// How many connections may wait for the host's decision.
const WAITING_MAX: usize = 256;

/// How many programs may ask over TCP at once.
const ASKING_MAX: usize = 16;

/// How often a port that is free for both families is looked for.
const PORT_TRIES: usize = 16;

/// How long a listener that cannot accept waits before it tries again.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    output: Mutex<()>,
    asking: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u32, TcpStream>,
    last: u32,
    questions: Questions,
}

/// Runs until the host says to stop, or is gone.
pub(crate) fn run() -> Result<(), NetworkError> {
    let mut host = Host { input: io::stdin(), buffer: BytesMut::new() };
    let Some((HostMessage::Configure { .. }, authorities)) = host.hear()? else { return Ok(()) };
    let _alone = handover::alone().map_err(NetworkError::Alone)?;
    let shared = Arc::new(Shared::default());
    match set_up(&shared, &authorities) {
        Ok(bundle) => shared.tell(&GuestMessage::Ready { bundle }, &[]),
        Err(error) => {
            shared.tell(&GuestMessage::Failed { message: crate::network::chain(&error) }, &[]);
            return Err(error);
        }
    }
    while let Some((message, body)) = host.hear()? {
        match message {
            HostMessage::Answer { id, .. } => shared.state().questions.answer(id, &body),
            HostMessage::Refuse { id } => {
                let refused = shared.state().waiting.remove(&id);
                if let Some(connection) = refused {
                    reset(connection);
                }
            }
            HostMessage::Stop => return take_down(),
            HostMessage::Configure { .. } => {}
        }
    }
    take_down()
}

/// Everything or an error; what a failure leaves lets nothing pass. Returns the
/// bundle of certificates that programs read, if there was something to add.
fn set_up(shared: &Arc<Shared>, authorities: &[u8]) -> Result<Option<String>, NetworkError> {
    let failed = |what| move |source| NetworkError::Listen { what, source };
    let connections = listen_tcp().map_err(failed("connections"))?;
    let questions_tcp = listen_tcp().map_err(failed("questions over TCP"))?;
    let questions_udp = listen_udp().map_err(failed("questions"))?;
    let handover = handover::listen().map_err(failed("processes that carry connections"))?;
    let ports = Ports {
        connections: connections.port,
        questions_udp: questions_udp.port,
        questions_tcp: questions_tcp.port,
    };
    let bundle = match authorities {
        [] => None,
        pem => Some(files::authorities(&String::from_utf8_lossy(pem))?),
    };
    let number = interface::set_up()?;
    redirect::set_up(number, ports)?;
    files::name_server()?;
    for listener in connections.sockets {
        let shared = Arc::clone(shared);
        thread::spawn(move || accept(&listener, |connection| shared.connection(connection)));
    }
    for listener in questions_tcp.sockets {
        let shared = Arc::clone(shared);
        thread::spawn(move || accept(&listener, |connection| asked_over_tcp(&shared, connection)));
    }
    for socket in questions_udp.sockets {
        let (shared, socket) = (Arc::clone(shared), Arc::new(socket));
        thread::spawn(move || shared.datagrams(&socket));
    }
    let shared = Arc::clone(shared);
    thread::spawn(move || shared.hand_over(&handover));
    Ok(bundle)
}

fn take_down() -> Result<(), NetworkError> {
    files::no_name_server();
    // Without the interface there is no route, whatever becomes of the rest.
    interface::take_down()?;
    redirect::take_down()
}

/// Sockets of both families at one port of the loopback.
struct Listening<T> {
    sockets: Vec<T>,
    port: u16,
}

fn listen_tcp() -> io::Result<Listening<TcpListener>> {
    both(TcpListener::bind, TcpListener::local_addr)
}

fn listen_udp() -> io::Result<Listening<UdpSocket>> {
    both(UdpSocket::bind, UdpSocket::local_addr)
}

fn both<T>(
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    address: impl Fn(&T) -> io::Result<SocketAddr>,
) -> io::Result<Listening<T>> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let v4 = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let port = address(&v4)?.port();
        match bind((Ipv6Addr::LOCALHOST, port).into()) {
            Ok(v6) => return Ok(Listening { sockets: vec![v4, v6], port }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            // A kernel without IPv6.
            Err(_) => return Ok(Listening { sockets: vec![v4], port }),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

fn accept(listener: &TcpListener, take: impl Fn(TcpStream)) {
    loop {
        match listener.accept() {
            Ok((connection, _)) => take(connection),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn asked_over_tcp(shared: &Arc<Shared>, connection: TcpStream) {
    if shared.asking.fetch_add(1, Ordering::Relaxed) >= ASKING_MAX {
        shared.asking.fetch_sub(1, Ordering::Relaxed);
        return reset(connection);
    }
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        // Whatever breaks it, the program notices.
        let _ = serve(connection, |asker, question| shared.ask(asker, question));
        shared.asking.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Where a redirected connection was going.
fn destination(connection: &TcpStream) -> io::Result<SocketAddr> {
    match connection.local_addr()? {
        SocketAddr::V4(_) => Ok(SocketAddr::V4(ip_original_dst(connection)?)),
        SocketAddr::V6(_) => Ok(SocketAddr::V6(ipv6_original_dst(connection)?)),
    }
}

/// Ends a connection so that the other side notices at once.
fn reset(connection: TcpStream) {
    let _ = set_socket_linger(&connection, Some(Duration::ZERO));
    drop(connection);
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the host. If it cannot be told it is gone, and its end is heard.
    fn tell(&self, message: &GuestMessage, body: &[u8]) {
        let bytes = encode(message, body);
        let _whole = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut output = io::stdout();
        let _ = output.write_all(&bytes).and_then(|()| output.flush());
    }

    fn connection(&self, connection: TcpStream) {
        // Whoever connected to the daemon itself was not redirected.
        let Ok(to) = destination(&connection) else { return reset(connection) };
        // Whatever becomes of this process: its end is no end of an answer.
        let _ = set_socket_linger(&connection, Some(Duration::ZERO));
        let mut state = self.state();
        if state.waiting.len() >= WAITING_MAX {
            drop(state);
            return reset(connection);
        }
        state.last = state.last.wrapping_add(1);
        let id = state.last;
        state.waiting.insert(id, connection);
        drop(state);
        self.tell(&GuestMessage::Connection { id, to }, &[]);
    }

    fn datagrams(&self, socket: &Arc<UdpSocket>) {
        let mut buffer = [0; DATAGRAM_MAX];
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    self.ask(Asker::Datagram(Arc::clone(socket), from), &buffer[..length]);
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn ask(&self, asker: Asker, question: &[u8]) {
        let Some(id) = self.state().questions.ask(asker) else { return };
        self.tell(&GuestMessage::Question { id, length: question.len() }, question);
    }

    fn hand_over(&self, listener: &UnixListener) {
        loop {
            match listener.accept() {
                // Whoever fetches one notices that it does not get it.
                Ok((asked, _)) => {
                    let _ = handover::give(&asked, |id| self.state().waiting.remove(&id));
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}

struct Host {
    input: io::Stdin,
    buffer: BytesMut,
}

impl Host {
    /// What the host says next; nothing once it is gone.
    fn hear(&mut self) -> Result<Option<(HostMessage, Bytes)>, NetworkError> {
        loop {
            if let Some(heard) = decode(&mut self.buffer).map_err(NetworkError::Host)? {
                return Ok(Some(heard));
            }
            let mut chunk = [0; 16 * 1024];
            match self.input.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(NetworkError::Input(error)),
            }
        }
    }
}
