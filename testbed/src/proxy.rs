//! A TCP proxy between a program and a dependency, which simulates network faults.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Forwards bytes in both directions, except while it is stalled. Ends with its runtime.
pub struct Proxy {
    /// The address to connect to.
    pub address: SocketAddr,
    /// False while the proxy is stalled.
    forwards: watch::Sender<bool>,
    /// Number of times that [`Self::cut`] was called.
    cuts: watch::Sender<u32>,
    target: watch::Sender<SocketAddr>,
}

impl Proxy {
    /// Starts a proxy to `target`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(target: SocketAddr) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), target).await
    }

    /// Starts a proxy to `target` that listens at `address`.
    ///
    /// # Panics
    /// When the port is not free.
    pub async fn at(address: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("it is bound");
        let (forwards, cuts) = (watch::Sender::new(true), watch::Sender::new(0));
        let (target, targets) = watch::channel(target);
        let (forwarding, cutting) = (forwards.subscribe(), cuts.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = *targets.borrow();
                tokio::spawn(connect(client, target, forwarding.clone(), cutting.clone()));
            }
        });
        Self { address, forwards, cuts, target }
    }

    /// Stops forwarding and leaves the connections open, so that neither side gets an error.
    pub fn stall(&self) {
        self.forwards.send_replace(false);
    }

    /// Forwards again, after [`Self::stall`].
    pub fn resume(&self) {
        self.forwards.send_replace(true);
    }

    /// Leads further connections to `target`.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Closes all open connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn connect(
    client: TcpStream,
    target: SocketAddr,
    forwards: watch::Receiver<bool>,
    mut cuts: watch::Receiver<u32>,
) {
    cuts.mark_unchanged();
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((client_reads, client_writes), (server_reads, server_writes)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = forward(client_reads, server_writes, forwards.clone()) => {}
        () = forward(server_reads, client_writes, forwards) => {}
        _ = cuts.changed() => {}
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut forwards: watch::Receiver<bool>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let allowed = forwards.wait_for(|forwards| *forwards).await.is_ok();
        if !allowed || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
