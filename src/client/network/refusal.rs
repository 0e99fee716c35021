//! TLS that one side refuses: the client the server's certificate, or the server the client's.

use std::{
    error::Error,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::uri::Authority;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use rustls::{AlertDescription, InvalidMessage};

/// Whether one side does not take what the other says that it is: another time it is no better.
pub(in crate::client) fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    refusal(error).is_some()
}

fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    use AlertDescription as Alert;
    use rustls::Error as Tls;

    let error = causes(error).find_map(|error| error.downcast_ref::<Tls>())?;
    let is_refusal = match error {
        Tls::AlertReceived(alert) => matches!(
            alert,
            Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::ProtocolVersion
                | Alert::InsufficientSecurity
                | Alert::UnrecognisedName
                | Alert::CertificateRequired
                | Alert::NoApplicationProtocol
        ),
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented | Tls::PeerIncompatible(_) => {
            true
        }
        // It does not speak TLS.
        Tls::InvalidMessage(invalid) => *invalid == InvalidMessage::InvalidContentType,
        _ => false,
    };
    is_refusal.then_some(error)
}

/// An error and what caused it. Of an error of the system, `source` leaves out the nearest cause.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The last refusal that a connection has met after it was made, and by which server.
///
/// Since TLS 1.3 a server refuses a client when the client takes the connection for made. All that
/// hyper says of it may be that the connection was closed.
#[derive(Clone, Default)]
pub(super) struct LastRefusal(Arc<Mutex<Option<(Authority, rustls::Error)>>>);

impl LastRefusal {
    /// Takes it, if it was by `server`.
    pub(super) fn take(&self, server: Option<&Authority>) -> Option<rustls::Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.take_if(|(by, _)| Some(&*by) == server)
            .map(|(_, refusal)| refusal)
    }

    /// Watches a connection to `server`.
    pub(super) fn watch<T>(&self, stream: T, server: Authority) -> Watched<T> {
        Watched {
            stream,
            server,
            last: self.clone(),
        }
    }
}

/// A connection whose refusals are noted.
pub(super) struct Watched<T> {
    stream: T,
    server: Authority,
    last: LastRefusal,
}

impl<T> Watched<T> {
    fn noted<R>(&self, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if let Poll::Ready(Err(error)) = &result
            && let Some(refusal) = refusal(error)
        {
            let refusal = (self.server.clone(), refusal.clone());
            let mut last = self.last.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(refusal);
        }
        result
    }
}

impl<T: Read + Unpin> Read for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.noted(read)
    }
}

impl<T: Write + Unpin> Write for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.noted(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.noted(written)
    }
}

impl<T: Connection> Connection for Watched<T> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}
