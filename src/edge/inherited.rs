//! Listening sockets that whoever started the edge has opened for it, by systemd's protocol: LISTEN_FDS, LISTEN_PID and
//! LISTEN_FDNAMES.

use super::limits;
use listenfd::ListenFd;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::env::var;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// The number of the first descriptor that is handed over.
const FIRST: usize = 3;
/// What a socket for operators is called; those with any other name are for clients.
const ADMIN: &str = "admin";

/// Sockets that are open already. They take the place of the addresses that the edge would open itself.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(super) clients: Vec<TcpListener>,
    pub(super) admin: Vec<TcpListener>,
}

/// Why sockets that are handed over can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InheritedError {
    /// There is no telling how many there are, or there are too many.
    #[error("LISTEN_FDS: expected a number up to {most}, found `{0}`", most = limits::INHERITED)]
    Count(String),
    /// One of them is something else.
    #[error("LISTEN_FDS: descriptor {0} is not a listening TCP socket")]
    NoListener(usize),
}

impl Inherited {
    /// Takes what is there for this process, which may be nothing. To be called once, before there are other threads: it
    /// takes the variables out of the environment.
    pub fn take() -> Result<Self, InheritedError> {
        let mut inherited = Self::default();
        // Variables that were meant for another process came here by chance.
        if var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok()) != Some(std::process::id()) {
            return Ok(inherited);
        }
        let count = var("LISTEN_FDS").unwrap_or_default();
        let count: usize = match count.parse() {
            Ok(number) if number <= limits::INHERITED => number,
            _ => return Err(InheritedError::Count(count)),
        };
        let names = var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        for place in 0..count {
            let listener = descriptors.take_tcp_listener(place).ok().flatten().filter(is_listener);
            let listener = listener.ok_or(InheritedError::NoListener(FIRST.saturating_add(place)))?;
            let sockets = if names.next() == Some(ADMIN) { &mut inherited.admin } else { &mut inherited.clients };
            sockets.push(listener);
        }
        Ok(inherited)
    }
}

fn is_listener(listener: &TcpListener) -> bool {
    SockRef::from(listener).is_listener().unwrap_or_default()
}

/// So many listeners for each address as there are cores: those of one address share its sockets, and with them the
/// queues of connections.
pub(super) fn spread(sockets: Vec<TcpListener>, cores: usize) -> io::Result<Vec<TcpListener>> {
    let mut addresses: BTreeMap<SocketAddr, Vec<TcpListener>> = BTreeMap::new();
    for socket in sockets {
        addresses.entry(socket.local_addr()?).or_default().push(socket);
    }
    let mut listeners = Vec::new();
    for sockets in addresses.into_values() {
        let missing = cores.saturating_sub(sockets.len());
        let copies: io::Result<Vec<_>> = sockets.iter().cycle().take(missing).map(TcpListener::try_clone).collect();
        listeners.extend(sockets.into_iter().chain(copies?));
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_listener_for_each_core() {
        let open = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (one, other) = (open(), open());
        let addresses = [&one, &other].map(|listener| listener.local_addr().expect("an address"));
        let twice = one.try_clone().expect("a copy");
        for (cores, expected) in [(1, [2, 1]), (2, [2, 2]), (5, [5, 5])] {
            let sockets = [&one, &twice, &other].map(|listener| listener.try_clone().expect("a copy"));
            let listeners = spread(sockets.into(), cores).expect("listeners");
            let count = |address| listeners.iter().filter(|listener| listener.local_addr().is_ok_and(|it| it == address)).count();
            assert_eq!(addresses.map(count), expected, "{cores} cores");
        }
        assert!(spread(Vec::new(), 4).expect("none").is_empty());
    }
}
