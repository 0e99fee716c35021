"""The release build of the `serve` example, as a process whose memory is watched."""

import os
import pathlib
import re
import signal
import subprocess
import sys

MIB = 1 << 20
PACKAGE = pathlib.Path(__file__).resolve().parents[2]
TARGET = PACKAGE / os.environ.get("CARGO_TARGET_DIR", "target")


def build():
    build = ["cargo", "build", "--quiet", "--release", "--example", "serve"]
    subprocess.run(build, cwd=PACKAGE, check=True)


class Process:
    """A server, for as long as it is used in a `with`; it has to stop cleanly at the end."""

    # What it may end with when it is told to stop.
    codes = (0,)

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        try:
            if failure is None:
                self.stop()
        finally:
            self.kill()
            self.process.stdout.close()

    def announced(self):
        """The address in the first line of its output."""
        line = self.process.stdout.readline()
        found = re.search(r"http://([\d.]+):(\d+)/", line)
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

    def kill(self):
        if self.process.poll() is None:
            # The parent first, which would replace its children.
            for pid in self.pids():
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=40)
        if code not in self.codes:
            sys.exit(f"{type(self).__name__} ended with {code}")


class Server(Process):
    """The example. What is in `prefix` starts it: `taskset` and its options."""

    def __init__(self, *options, prefix=()):
        program = TARGET / "release" / "examples" / "serve"
        super().__init__([*prefix, program, "--listen", "127.0.0.1:0", "--log", "warn", *options])
        self.address = self.announced()


def status(pid, field):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)[1]) << 10
