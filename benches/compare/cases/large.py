"""A blob of 64 MiB that is in the page cache, downloaded again and again."""

from client import check
from content import LARGE
from load import download_all, wrk
from ratios import at_least, at_most

from .base import DOCKER, LAYOUT, MEMORY, NGINX, NGINX_READS, Case, Metric, Usage

CONNECTIONS = 8
MIB = 1 << 20
GIB = 1 << 30


class BlobLarge(Case):
    name = "blob-large"
    title = "blob of 64 MiB in the page cache, 8 connections"
    metrics = [Metric("rate", "MiB/s")]
    cpu_unit = "GiB"

    def sides(self):
        image = self.content.large
        path = f"/v2/large/blobs/{image.blobs[1][0]}"
        registries = self.registries("large", image, path)
        return [side for side in registries if side.name != MEMORY] + self.nginxes(path)

    def check(self, side):
        digest, size = self.content.large.blobs[1]
        check(side.server, "GET", side.path, size, digest)

    def warm(self, side):
        self.load(side, 0.5)

    def load(self, side, seconds):
        _, length, elapsed = wrk(side.server.address, side.path, CONNECTIONS, seconds)
        return length, elapsed

    def measure(self, side):
        with Usage(side.server) as usage:
            length, elapsed = self.load(side, self.options.seconds)
        return usage.sample(length / GIB, elapsed, rate=length / MIB / elapsed)

    def targets(self):
        yield at_least(1.3, "rate", LAYOUT, NGINX)
        yield at_least(0.85, "rate", LAYOUT, NGINX_READS)
        yield at_least(1.2, "rate", LAYOUT, DOCKER)
        what = f"{LAYOUT} / {NGINX_READS}, CPU seconds per GiB"
        yield at_most(1, "cpu", LAYOUT, NGINX_READS, what)


class BlobLargeCurl(BlobLarge):
    """The same with a client that reads in larger pieces, and so has less to do than wrk."""

    name = "blob-large-curl"
    title = "the same, downloaded by curl"

    def load(self, side, seconds):
        # At the speeds that one core reaches, about as long as wrk takes.
        count = max(CONNECTIONS, round(CONNECTIONS * 3 * seconds))
        elapsed = download_all(side.server.address, [side.path] * count, LARGE, CONNECTIONS)
        return count * LARGE, elapsed

    def targets(self):
        return []
