"""The release build of the `serve` example, as a process whose memory is watched."""

import atexit
import contextlib
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

import cargo

MIB = 1 << 20
# Seconds in which a server has to listen.
START = 10
# What ends a benchmark, and the servers that it started.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def build():
    """Builds the example, and returns where it is."""
    return cargo.built("example", "serve")


def end_on_signals():
    """Lets SIGTERM and SIGHUP end the program as Ctrl-C does, unless it was told to ignore them."""
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def signals_deferred():
    """What is in the `with` is done whole: a signal that ends the program waits for its end."""
    arrived = []
    handlers = {number: signal.getsignal(number) for number in ENDING}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in arrived:
        signal.raise_signal(number)


class Process:
    """A server, for as long as it is used in a `with`; it has to stop cleanly at the end."""

    # What it may end with when it is told to stop.
    codes = (0,)

    def __init__(self, command):
        self.command, self.process, self.address = command, None, None

    def __enter__(self):
        try:
            self.start()
            self.address = self.announced()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, failure, *_):
        try:
            if failure is None:
                self.stop()
        finally:
            self.close()

    def start(self):
        with signals_deferred():
            # A group of its own has its workers too, and does not get the terminal's Ctrl-C.
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, process_group=0)
            # A signal may come between two steps of a `with`.
            atexit.register(self.kill)

    def announced(self):
        """The address in the first line of its output."""
        output, line, end = self.process.stdout.fileno(), b"", time.monotonic() + START
        while b"\n" not in line:
            ready, _, _ = select.select([output], [], [], max(0, end - time.monotonic()))
            piece = os.read(output, 4096) if ready else b""
            if not piece:
                break
            line += piece
        found = re.search(r"http://([\d.]+):(\d+)/", line.decode(errors="replace"))
        if not found:
            sys.exit(f"{type(self).__name__} did not start: {line!r}")
        return found[1], int(found[2])

    def pids(self):
        return [self.process.pid]

    def status(self, field):
        """A field of /proc/PID/status, in bytes."""
        return sum(status(pid, field) for pid in self.pids())

    def resident(self):
        return self.status("VmRSS")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=40)
        if code not in self.codes:
            sys.exit(f"{type(self).__name__} ended with {code}")

    def kill(self):
        # A worker may outlive the process that started it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process:
            self.kill()
            atexit.unregister(self.kill)
            self.process.stdout.close()


class Server(Process):
    """The example, which `program` is. What is in `prefix` starts it: `taskset` and its options."""

    def __init__(self, program, *options, prefix=()):
        super().__init__([*prefix, program, "--listen", "127.0.0.1:0", "--log", "warn", *options])


def status(pid, field):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)[1]) << 10
