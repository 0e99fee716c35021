"""HEAD requests beside another load, each sent when it is due: what their answers take."""

import math
import select
import socket
import time

from content import MANIFEST
from failure import Failure

# From one request to the next, in seconds.
PERIOD = 0.002
# So many requests wait at once; what is due besides waits for a connection.
CONNECTIONS = 100
PATIENCE = 30


def probe(ready, stopping, address, path):
    """Asks until it is told to stop: returns the seconds from when each request was due."""
    return Probe(address, path).run(ready, stopping)


class Probe:
    def __init__(self, address, path):
        self.address = address
        headers = f"Host: localhost\r\nAccept: {MANIFEST}\r\n"
        self.request = f"HEAD {path} HTTP/1.1\r\n{headers}\r\n".encode()
        self.idle, self.waiting, self.seconds = [Connection(address)], [], []
        self.due = None

    def run(self, ready, stopping):
        ready()
        self.due = time.monotonic()
        while not stopping.is_set():
            self.proceed(math.inf)
        end = time.monotonic()
        # What was due by then is waited for: it may be the slowest.
        while self.due < end or self.waiting:
            self.proceed(end)
        return self.seconds

    def proceed(self, end):
        """Sends the next request, if it is due before the end and there is a connection for it."""
        if self.due < end and len(self.waiting) < CONNECTIONS:
            self.receive(max(0, self.due - time.monotonic()))
            if self.due <= time.monotonic():
                self.send()
        elif not self.receive(PATIENCE):
            raise Failure("HEAD requests were not answered")

    def send(self):
        connection = self.idle.pop() if self.idle else Connection(self.address)
        connection.send(self.request, self.due)
        self.waiting.append(connection)
        self.due += PERIOD

    def receive(self, seconds):
        """Waits for answers for so long, and says whether some came."""
        arrived, _, _ = select.select(self.waiting, [], [], seconds)
        for connection in arrived:
            if connection.answered():
                self.seconds.append(time.monotonic() - connection.due)
                self.waiting.remove(connection)
                self.idle.append(connection)
        return arrived


class Connection:
    """One connection, with the request that waits for its answer."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due, self.head = None, b""

    def fileno(self):
        return self.socket.fileno()

    def send(self, request, due):
        self.due, self.head = due, b""
        self.socket.sendall(request)

    def answered(self):
        """Takes what has arrived, and says whether it is all of the answer."""
        piece = self.socket.recv(4096)
        self.head += piece
        if not piece:
            raise Failure("a HEAD request was not answered")
        if not self.head.endswith(b"\r\n\r\n"):
            return False
        if not self.head.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"a HEAD request was answered with {self.head!r}")
        return True


def p99(seconds):
    """The 99th percentile; of a hundred answers or fewer it is the slowest one."""
    return sorted(seconds)[len(seconds) * 99 // 100]
