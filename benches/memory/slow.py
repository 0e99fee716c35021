"""A download whose reader takes little at a time."""

import socket
import sys

# Of a network. With loopback's of 64 KiB, the kernel takes megabytes of each download at once, and
# the server has nothing to do until they are read.
SEGMENT = 1460


class SlowDownload:
    def __init__(self, address, path, size):
        self.received = 0
        self.socket = socket.socket()
        # What the kernel takes for a reader is not what the server holds for it.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self.socket.settimeout(20)
        self.socket.connect(address)
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.socket.sendall(request.encode())
        head = self.read_head()
        lines = head.decode().lower().split("\r\n")
        if not lines[0].endswith(" 200 ok") or f"content-length: {size}" not in lines:
            sys.exit(f"a download was refused: {head!r}")
        self.socket.setblocking(False)

    def read_head(self):
        """The head of the answer, without the bytes of the body that came with it."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            arrived = self.socket.recv(4096, socket.MSG_PEEK)
            if not arrived:
                sys.exit(f"a download ended in its head: {head!r}")
            end = (head + arrived).find(b"\r\n\r\n")
            length = len(arrived) if end < 0 else end + 4 - len(head)
            head += self.socket.recv(length)
        return head

    def read(self, length):
        """Takes up to so many bytes, and returns them: none if none have arrived."""
        try:
            data = self.socket.recv(length)
        except BlockingIOError:
            return b""
        if not data:
            sys.exit("a download ended early")
        self.received += len(data)
        return data

    def read_to(self, received):
        """Reads as fast as it comes, until it has received so many bytes of the body."""
        self.socket.settimeout(10)
        while self.received < received:
            try:
                self.read(min(received - self.received, 64 << 10))
            except TimeoutError:
                sys.exit(f"a slow download did not get on after {self.received >> 10} KiB")
        self.socket.setblocking(False)
