"""From the start of `serve` over a layout of many images to the end of the first pull."""

import time

from client import Client
from failure import Failure
from ratios import at_most, value_at_most

from .base import Case, Metric, Side

FEW, MANY = 100, 10_000


class Start(Case):
    name = "start"
    title = "start over a layout of many manifests, to the first answers"
    metrics = [
        Metric("manifest", "ms to a manifest by tag", 1),
        Metric("pull", "ms to the blobs after it", 1),
    ]
    keeps_servers = False

    def sides(self):
        return [Side(side_name(count), None, str(count)) for count in (FEW, MANY)]

    def check(self, side):
        self.measure(side)

    def measure(self, side):
        """Starts a server, and pulls the image in the middle from it; what comes is checked."""
        count = int(side.path)
        image = self.content.many(count)[count // 2]
        name = f"many-{count}"
        begin = time.monotonic()
        with self.serve(name) as server:
            with Client(server.address) as client:
                found = client.get(f"/v2/{name}/manifests/{image.tag}")
                manifest = time.monotonic() - begin
                blobs = [client.get(f"/v2/{name}/blobs/{digest}") for digest, _ in image.blobs]
                pull = time.monotonic() - begin
            if found != (len(image.manifest), image.digest):
                raise Failure(f"{image.tag} is {found}")
            if blobs != [(size, digest) for digest, size in image.blobs]:
                raise Failure(f"the blobs of {image.tag} are {blobs}")
            return {"manifest": manifest * 1000, "pull": pull * 1000, "peak": server.peak()}

    def targets(self):
        few, name = side_name(FEW), side_name(MANY)
        yield value_at_most(1000, "manifest", name, f"{name}, to a manifest", "ms")
        yield value_at_most(1000, "pull", name, f"{name}, to its blobs", "ms")
        # In proportion to what is asked for, and not to what there is.
        yield at_most(2, "manifest", name, few, f"{name} / of {FEW}, time to a manifest")
        yield at_most(2, "pull", name, few, f"{name} / of {FEW}, time to its blobs")


def side_name(count):
    return f"serve, layout of {count:,}"
