"""A page of 100 tags out of a thousand, and out of a million."""

import contextlib
import json

from client import Client
from content import MANIFEST
from failure import Failure
from ratios import at_most

from .base import Side
from .requests import Requests

FEW, MANY = 1_000, 1_000_000
PAGE = 100
PER_PUSH = 100


class Tags(Requests):
    name = "tags"
    title = f"a page of {PAGE} tags from the middle, 32 connections"

    def sides(self):
        return [
            Side(side_name(count), lambda count=count: self.tagged(count), page(count))
            for count in (FEW, MANY)
        ]

    @contextlib.contextmanager
    def tagged(self, count):
        """A registry in memory with so many tags of one manifest."""
        image = self.content.small
        with self.filled(self.serve_memory(4096), "small", image) as server:
            with Client(server.address) as client:
                for first in range(0, count, PER_PUSH):
                    tags = "&".join(f"tag={tag}" for tag in tags_from(first, PER_PUSH))
                    path = f"/v2/small/manifests/{image.digest}?{tags}"
                    client.ask("PUT", path, 201, image.manifest, {"Content-Type": MANIFEST}).read()
            yield server

    def check(self, side):
        count = FEW if side.name == side_name(FEW) else MANY
        with Client(side.server.address) as client:
            body = client.ask("GET", side.path, 200).read()
        if json.loads(body) != {"name": "small", "tags": tags_from(count // 2, PAGE)}:
            raise Failure(f"GET {side.path} is {body!r}")

    def targets(self):
        what = "a page out of 1,000,000 / out of 1,000, time"
        # The time of a page is what its rate is the inverse of.
        yield at_most(2, "rate", side_name(FEW), side_name(MANY), what)


def side_name(count):
    return f"serve, memory, {count:,} tags"


def tags_from(first, count):
    return [f"t{number:07}" for number in range(first, first + count)]


def page(count):
    last = tags_from(count // 2 - 1, 1)[0]
    return f"/v2/small/tags/list?n={PAGE}&last={last}"
