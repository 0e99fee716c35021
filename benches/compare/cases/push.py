"""A push of 512 MiB in one PUT, hash included, beside a hash alone and an upload alone."""

import time

from client import Client, check
from content import UPLOAD
from failure import Failure
from load import finished, upload
from ratios import Target
from servers import CORES, Bare, Serve, pinned

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
            Side(ONE_CORE, lambda: Serve("--discard")),
            Side(BOTH_CORES, lambda: Serve("--discard", cores=CORES)),
            Side(SINK, lambda: Bare(self.options.bare, "--sink")),
            Side(OPENSSL, None),
        ]

    def check(self, side):
        self.measure(side)

    def measure(self, side):
        if side.name == OPENSSL:
            return {"seconds": self.hash()}
        with Usage(side.server) as usage:
            seconds = self.push(side)
        if side.name != SINK:
            path = f"/v2/pushed/blobs/{self.digest}"
            check(side.server.address, "HEAD", path, UPLOAD, self.digest)
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
        for side in ONE_CORE, BOTH_CORES:
            what = f"{side} / the slower of {OPENSSL} and {SINK}"
            yield Target(what, 0.9, True, lambda samples, side=side: speeds(samples, side))


def speeds(samples, side):
    """How fast a side is in each round, beside the slower of the two that do half of its work."""
    seconds = [[sample["seconds"] for sample in samples[name]] for name in (OPENSSL, SINK, side)]
    return [max(hashed, sunk) / ours for hashed, sunk, ours in zip(*seconds, strict=True)]
