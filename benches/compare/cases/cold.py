"""Blobs that are not in the page cache, and what other clients wait for meanwhile."""

from client import check
from content import LARGE
from failure import Failure
from load import Worker, download_all, finished, probe
from ratios import at_least, at_most

from .base import LAYOUT, NGINX, NGINX_READS, Case, Metric, Side, Usage

MIB = 1 << 20
GIB = 1 << 30
# Answers beside a load, for the slowest of them to say something.
LEAST = 5
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
        return [Side(LAYOUT, lambda: self.serve("cold")), *self.nginxes("")]

    def check(self, side):
        image = self.content.cold
        for path, (digest, size) in zip(self.paths, image.blobs[1:], strict=True):
            check(side.server.address, "GET", path, size, digest)
        check(side.server.address, "HEAD", MANIFEST, len(image.manifest), image.digest)

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
        for base in NGINX, NGINX_READS:
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


def p99(seconds):
    """The 99th percentile; of less than a hundred answers it is the slowest one."""
    if len(seconds) < LEAST:
        raise Failure(f"only {len(seconds)} requests were answered beside the load")
    return sorted(seconds)[len(seconds) * 99 // 100]
