"""Small answers, as many as a server gives: manifests, and a blob of 2 KiB."""

from client import check
from load import heads, wrk
from ratios import at_least

from .base import BARE, DOCKER, LAYOUT, MEMORY, NGINX, NGINX_READS, Case, Metric, Usage

CONNECTIONS = 32
# What CPU seconds are counted for.
UNIT = 100_000


class Requests(Case):
    metrics = [Metric("rate", "requests/s")]
    method = "GET"

    def path(self, image):
        """Where what is asked for is."""
        raise NotImplementedError

    def sides(self):
        image = self.content.small
        path = self.path(image)
        return self.registries("small", image, path) + self.nginxes(path)

    def expected(self):
        """The size and the digest of what is asked for."""
        image = self.content.small
        return len(image.manifest), image.digest

    def check(self, side):
        check(side.server, self.method, side.path, *self.expected())

    def warm(self, side):
        self.load(side, 0.5)

    def load(self, side, seconds):
        requests, _, elapsed = wrk(side.server.address, side.path, CONNECTIONS, seconds)
        return requests, elapsed

    def measure(self, side):
        with Usage(side.server) as usage:
            requests, elapsed = self.load(side, self.options.seconds)
        return usage.sample(requests / UNIT, elapsed, rate=requests / elapsed)

    def targets(self):
        for side in LAYOUT, MEMORY:
            yield at_least(0.9, "rate", side, BARE)
            yield at_least(4, "rate", side, DOCKER)


class ManifestTag(Requests):
    name = "manifest-tag"
    title = "manifest GET by tag, 32 connections"

    def path(self, image):
        return f"/v2/small/manifests/{image.tag}"


class ManifestDigest(Requests):
    name = "manifest-digest"
    title = "manifest GET by digest, 32 connections"

    def path(self, image):
        return f"/v2/small/manifests/{image.digest}"


class ManifestHead(ManifestTag):
    name = "manifest-head"
    title = "manifest HEAD by tag, 32 connections"
    method = "HEAD"

    def load(self, side, seconds):
        return heads(self.options.bare, side.server.address, side.path, seconds)


class BlobSmall(Requests):
    name = "blob-small"
    title = "blob of 2 KiB, 32 connections"

    def path(self, image):
        return f"/v2/small/blobs/{image.blobs[1][0]}"

    def expected(self):
        digest, size = self.content.small.blobs[1]
        return size, digest

    def targets(self):
        for base in NGINX, NGINX_READS:
            yield at_least(0.8, "rate", LAYOUT, base)
