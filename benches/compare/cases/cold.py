"""Blobs that are not in the page cache, and what other clients wait for meanwhile."""

from client import check
from content import LARGE
from failure import Failure
from load import Worker, download_all, finished
from probe import p99, probe
from ratios import at_least, at_most

from .base import LAYOUT, NGINXES, NGINXES_ON_THREADS, Case, Metric, Side, Usage

MIB = 1 << 20
GIB = 1 << 30
ALL_NGINXES = NGINXES | NGINXES_ON_THREADS
MANIFEST = "/v2/cold/manifests/latest"


class BlobCold(Case):
    name = "blob-cold"
    title = "8 blobs of 64 MiB at once, not in the page cache"
    metrics = [Metric("rate", "MiB/s"), Metric("p99", "p99 of HEAD beside, ms", 2)]
    cpu_unit = "GiB"

    def sides(self):
        image = self.content.cold
        self.paths = [f"/v2/cold/blobs/{digest}" for digest, _ in image.blobs[1:]]
        self.files = [image.file(digest) for digest, _ in image.blobs[1:]]
        return [Side(LAYOUT, lambda: self.serve("cold")), *self.nginxes("", ALL_NGINXES)]

    def check(self, side):
        image = self.content.cold
        for path, (digest, size) in zip(self.paths, image.blobs[1:], strict=True):
            check(side.server, "GET", path, size, digest)
        check(side.server, "HEAD", MANIFEST, len(image.manifest), image.digest)

    def measure(self, side):
        for file in self.files:
            drop_pages(file)
        address = side.server.address
        with Usage(side.server) as usage, Worker(probe, address, MANIFEST) as beside:
            seconds = download_all(address, self.paths, LARGE, len(self.paths))
        length = LARGE * len(self.paths)
        figures = {"rate": length / MIB / seconds, "p99": p99(beside.result) * 1000}
        return usage.sample(length / GIB, usage.seconds, **figures)

    def targets(self):
        for base in ALL_NGINXES:
            yield at_least(1, "rate", LAYOUT, base)
            what = f"{LAYOUT} / {base}, p99 of HEAD beside"
            yield at_most(1.5, "p99", LAYOUT, base, what)


def drop_pages(file):
    """Takes a file out of the page cache, and makes sure that it is."""
    drop = ["dd", f"of={file}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0"]
    finished([*drop, "status=none"])
    pages = finished(["fincore", "--noheadings", "--raw", "--output", "PAGES", file]).strip()
    if pages != "0":
        raise Failure(f"{pages} pages of a file stay in the page cache: is it on a disk?")
