"""A push of 512 MiB in one PUT, hash included, beside a hash alone and an upload alone."""

import time

from client import Client, check
from content import UPLOAD
from failure import Failure
from load import finished, upload
from ratios import Target
from servers import LOAD_CORE, SERVER_CORE, Bare, Serve, pinned

from .base import Case, Metric, Side, Usage

ONE_CORE = "serve, one core"
BOTH_CORES = "serve, both cores"
SINK = "bare hyper, sink"
OPENSSL = "openssl dgst"
GIB = 1 << 30


class Push(Case):
    name = "push"
    title = "push of 512 MiB in one PUT, hash included"
    metrics = [Metric("seconds", "seconds", 3)]
    cpu_unit = "GiB"

    def sides(self):
        self.file, self.digest = self.content.upload
        return [
            Side(ONE_CORE, self.discarding),
            Side(BOTH_CORES, lambda: self.discarding(SERVER_CORE, LOAD_CORE)),
            Side(SINK, lambda: Bare(self.options.bare, "--sink")),
            Side(OPENSSL, None),
        ]

    def discarding(self, *cores):
        return Serve(self.options.serve, "--discard", cores=cores)

    def check(self, side):
        self.measure(side)

    def measure(self, side):
        if side.name == OPENSSL:
            return {"seconds": self.hash()}
        with Usage(side.server) as usage:
            seconds = self.push(side)
        if side.name != SINK:
            path = f"/v2/pushed/blobs/{self.digest}"
            check(side.server, "HEAD", path, UPLOAD, self.digest)
            self.forget(side)
        return usage.sample(UPLOAD / GIB, seconds, seconds=seconds)

    def push(self, side):
        path = "/sink?"
        if side.name != SINK:
            with Client(side.server.address) as client:
                path = client.start_upload("pushed")
        return upload(side.server.address, f"{path}digest={self.digest}", self.file)

    def forget(self, side):
        """Deletes what was pushed, so that the next push is checked too."""
        with Client(side.server.address) as client:
            client.ask("DELETE", f"/v2/pushed/blobs/{self.digest}", 202).read()

    def hash(self):
        begin = time.monotonic()
        output = finished([*pinned(), "openssl", "dgst", "-sha256", "-r", self.file])
        seconds = time.monotonic() - begin
        if f"sha256:{output.split()[0]}" != self.digest:
            raise Failure(f"openssl printed {output!r}")
        return seconds

    def targets(self):
        yield Target(f"{ONE_CORE} / the slower of {OPENSSL} and {SINK}", 0.9, True, speeds)


def speeds(samples):
    """How fast serve is in each round, beside the slower of the two that do half of its work."""
    sides = OPENSSL, SINK, ONE_CORE
    seconds = [[sample["seconds"] for sample in samples[side]] for side in sides]
    return [max(hashed, sunk) / ours for hashed, sunk, ours in zip(*seconds, strict=True)]
