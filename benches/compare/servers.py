"""The servers that are compared: each on a free port of 127.0.0.1, pinned to a core."""

import os
import pathlib
import signal
import socket
import string
import tempfile
import time

from failure import Failure
from server import START, Process, Server

FOLDER = pathlib.Path(__file__).resolve().parent
CORES = sorted(os.sched_getaffinity(0))
# The load takes the other one: `run` needs two.
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]
TICKS = os.sysconf("SC_CLK_TCK")


def pinned(*cores):
    return ["taskset", "--cpu-list", ",".join(map(str, cores or [SERVER_CORE]))]


class Measured:
    """What is known of a server, beside what memory/server.py reads."""

    # Whether its answers have the header Docker-Content-Digest.
    says_digests = True

    def cpu_seconds(self):
        """What all threads have used so far, in user and kernel mode, those that ended too."""
        ticks = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def peak(self):
        return self.status("VmHWM")


class Serve(Measured, Server):
    """The example `serve`, which `program` is."""

    def __init__(self, program, *options, cores=()):
        super().__init__(program, *options, prefix=pinned(*cores))


class Bare(Measured, Process):
    """Bare hyper: `program` is bare.rs. It has nothing to finish when it is told to stop."""

    codes = (-signal.SIGTERM,)

    def __init__(self, program, *options):
        super().__init__([*pinned(), program, *options])


class Configured(Measured, Process):
    """A server that does not say when it listens, and has its files in a folder below `within`."""

    def __init__(self, within, template, program, **settings):
        self.folder = tempfile.TemporaryDirectory(dir=within, prefix="server-")
        self.listens = ("127.0.0.1", free_port())
        settings |= {"port": self.listens[1], "folder": self.folder.name}
        file = pathlib.Path(self.folder.name) / template
        text = string.Template((FOLDER / template).read_text(encoding="utf-8"))
        file.write_text(text.substitute(settings), encoding="utf-8")
        super().__init__([*pinned(), *program, file])

    def announced(self):
        """Its address, once it takes connections."""
        end = time.monotonic() + START
        while self.process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(self.listens, timeout=1).close()
                return self.listens
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise Failure(f"{type(self).__name__} did not start")

    def close(self):
        try:
            super().close()
        finally:
            self.folder.cleanup()


class Nginx(Configured):
    """Debian's nginx, over the files below `root`."""

    # A file server knows no digests.
    says_digests = False
    # The settings that were fastest on loopback, of those that README.md names.
    WITH_SENDFILE = {"sendfile": "on", "tcp_nopush": "on", "output_buffers": "2 32k", "aio": "off"}
    WITHOUT_SENDFILE = {
        "sendfile": "off",
        "tcp_nopush": "off",
        "output_buffers": "2 256k",
        "aio": "off",
    }
    # Files are read on threads, so that nothing else waits for the disk.
    ON_THREADS = {"aio": "threads"}

    def __init__(self, within, root, settings):
        # Its worker has to be able to read the files; only root may say who it is.
        user = "user root root;" if os.geteuid() == 0 else ""
        program = ["nginx", "-e", "stderr", "-c"]
        super().__init__(within, "nginx.conf", program, root=root, user=user, **settings)

    def pids(self):
        """The master, which answers nothing, and its worker."""
        master = self.process.pid
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text()
        return [master, *map(int, children.split())]


class DockerRegistry(Configured):
    """Debian's docker-registry, over an empty folder of its own."""

    # It installs no handler for the signal unless it is told to drain.
    codes = (0, -signal.SIGTERM)

    def __init__(self, within):
        super().__init__(within, "docker-registry.yml", ["docker-registry", "serve"])


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
