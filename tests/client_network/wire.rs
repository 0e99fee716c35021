//! A bad network: a relay on a socket that cuts, resets, delays or swallows what it carries.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::{AbortHandle, JoinSet},
};

/// How a connection ends that has carried as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As if the other side had closed it.
    Cut,
    /// With a reset.
    Reset,
    /// Not at all: nothing is carried any more.
    Stall,
}

/// What happens to one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// How many bytes of answers it carries.
    pub(crate) down: u64,
    /// How many bytes of requests it carries.
    pub(crate) up: u64,
    /// What happens after either.
    pub(crate) end: End,
    /// How long each piece takes.
    pub(crate) delay: Duration,
}

impl Fault {
    pub(crate) const NONE: Self = Self {
        down: u64::MAX,
        up: u64::MAX,
        end: End::Cut,
        delay: Duration::ZERO,
    };

    pub(crate) fn down(down: u64, end: End) -> Self {
        Self {
            down,
            end,
            ..Self::NONE
        }
    }

    pub(crate) fn up(up: u64, end: End) -> Self {
        Self {
            up,
            end,
            ..Self::NONE
        }
    }

    pub(crate) fn delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::NONE
        }
    }
}

/// A relay to a server, which ends with this.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    carried: Arc<Carried>,
    running: AbortHandle,
}

#[derive(Default)]
struct Carried {
    connections: AtomicUsize,
    down: AtomicU64,
    up: AtomicU64,
}

impl Wire {
    /// A relay to `server`, whose connections have the fault that `fault` gives for their number.
    pub(crate) async fn to(
        server: SocketAddr,
        fault: impl Fn(usize) -> Fault + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let carried = Arc::<Carried>::default();
        let counted = carried.clone();
        let running = tokio::spawn(async move {
            // They end when this one is ended.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = counted.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(relay(client, server, fault(number), counted.clone()));
            }
        });
        Self {
            address,
            carried,
            running: running.abort_handle(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.carried.connections.load(Ordering::SeqCst)
    }

    /// How many bytes of answers it has carried.
    pub(crate) fn down(&self) -> u64 {
        self.carried.down.load(Ordering::SeqCst)
    }

    /// How many bytes of requests it has carried.
    pub(crate) fn up(&self) -> u64 {
        self.carried.up.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn relay(mut client: TcpStream, server: SocketAddr, fault: Fault, carried: Arc<Carried>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let delay = fault.delay;
    let down = carry(
        &mut from_server,
        &mut to_client,
        fault.down,
        delay,
        &carried.down,
    );
    let up = carry(
        &mut from_client,
        &mut to_server,
        fault.up,
        delay,
        &carried.up,
    );
    let is_faulty = tokio::select! {
        is_faulty = down => is_faulty,
        is_faulty = up => is_faulty,
    };
    match fault.end {
        End::Reset if is_faulty => client.set_zero_linger().unwrap(),
        End::Stall if is_faulty => std::future::pending().await,
        _ => {}
    }
}

/// Carries bytes until one side has gone, or `most` of them: says whether it was so many.
async fn carry(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    most: u64,
    delay: Duration,
    carried: &AtomicU64,
) -> bool {
    let mut piece = vec![0; 64 << 10];
    let mut left = most;
    while left > 0 {
        let fits = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(length @ 1..) = from.read(&mut piece[..fits]).await else {
            return false;
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        left -= length as u64;
        carried.fetch_add(length as u64, Ordering::SeqCst);
        if to.write_all(&piece[..length]).await.is_err() {
            return false;
        }
    }
    true
}
