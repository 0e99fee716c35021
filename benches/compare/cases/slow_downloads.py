"""Many slow downloads at once: the memory of each, and what other clients wait for."""

import time

from client import check
from failure import Failure
from load import Worker
from probe import p99, probe
from ratios import at_most, value_at_most
from readers import PACE, slow_downloads

from .base import LAYOUT, NGINXES, Case, Metric, Side, Usage

DOWNLOADS = 1000
MANIFEST = "/v2/large/manifests/latest"


class SlowDownloads(Case):
    name = "slow-downloads"
    title = f"{DOWNLOADS:,} slow downloads of 64 MiB at once"
    metrics = [
        Metric("memory", "KiB of memory for each", 1),
        Metric("p99", "p99 of HEAD beside, ms", 2),
    ]
    # What a server has once used it may keep: each sample has a server of its own.
    keeps_servers = False
    # There is no piece of work that ends.
    cpu_unit = "second"

    def sides(self):
        digest, self.size = self.content.large.blobs[1]
        path = f"/v2/large/blobs/{digest}"
        return [Side(LAYOUT, lambda: self.serve("large"), path), *self.nginxes(path)]

    def check(self, side):
        digest, size = self.content.large.blobs[1]
        with side.start() as server:
            check(server, "GET", side.path, size, digest)
            self.check_manifest(server)

    def check_manifest(self, server):
        image = self.content.large
        check(server, "HEAD", MANIFEST, len(image.manifest), image.digest)

    def measure(self, side):
        with side.start() as server:
            address = server.address
            self.check_manifest(server)
            idle = server.resident()
            readers = Worker(slow_downloads, address, side.path, self.size, DOWNLOADS)
            with readers, Usage(server) as usage:
                with Worker(probe, address, MANIFEST) as beside:
                    time.sleep(self.options.seconds * 2)
                peak = server.peak()
            check_pace(*readers.result)
            memory = (peak - idle) / DOWNLOADS / 1024
            figures = {"memory": memory, "p99": p99(beside.result) * 1000}
            return usage.sample(usage.seconds, usage.seconds, **figures)

    def targets(self):
        yield value_at_most(128, "memory", LAYOUT, f"{LAYOUT}, memory of each", "KiB")
        for base in NGINXES:
            what = f"{LAYOUT} / {base}, p99 of HEAD beside"
            yield at_most(1.5, "p99", LAYOUT, base, what)


def check_pace(seconds, least):
    """Each download has to get half of what its reader takes: the machine may be busy."""
    if least < seconds * PACE / 2:
        raise Failure(f"a slow download got {least >> 10} KiB in {seconds:.1f} s")
