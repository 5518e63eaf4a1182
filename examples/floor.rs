//! The floor that scripts/bench measures the edge against: fixed bytes for whatever arrives, and nothing is parsed.
//!
//! `floor FILE`: answers every read on a connection with the bytes of the file, on one core, and prints where it listens.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measuring program is shell")]

use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

fn main() -> std::io::Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| std::io::Error::other("floor FILE"))?;
    let answer: Arc<[u8]> = std::fs::read(file)?.into();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream, Arc::clone(&answer)));
        }
    })
}

async fn serve(stream: TcpStream, answer: Arc<[u8]>) -> std::io::Result<()> {
    let mut buffer = [0; 8192];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => write(&stream, &answer).await?,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write(stream: &TcpStream, mut rest: &[u8]) -> std::io::Result<()> {
    while !rest.is_empty() {
        match stream.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
