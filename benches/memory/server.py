"""The release build of the `serve` example, as a process whose memory is watched."""

import os
import pathlib
import re
import signal
import subprocess
import sys

MIB = 1 << 20
PACKAGE = pathlib.Path(__file__).resolve().parents[2]


def build():
    build = ["cargo", "build", "--quiet", "--release", "--example", "serve"]
    subprocess.run(build, cwd=PACKAGE, check=True)


class Server:
    """Serves, for as long as it is used in a `with`; it has to stop cleanly at the end."""

    def __init__(self, *options):
        target = PACKAGE / os.environ.get("CARGO_TARGET_DIR", "target")
        program = target / "release" / "examples" / "serve"
        arguments = [program, "--listen", "127.0.0.1:0", "--log", "warn", *options]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://([\d.]+):(\d+)/", line)
        if not found:
            sys.exit(f"serve did not start: {line!r}")
        self.address = found[1], int(found[2])

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        try:
            if failure is None:
                self.stop()
        finally:
            self.process.kill()
            self.process.wait()

    def status(self, field):
        """A field of /proc/PID/status, in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)[1]) << 10

    def resident(self):
        return self.status("VmRSS")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=40)
        if code != 0:
            sys.exit(f"serve ended with {code}")
