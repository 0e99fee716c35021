"""What a case is: sides that are measured alternately, and what their ratios have to be."""

import contextlib
import dataclasses
import pathlib
import time
from typing import Any, Callable

from client import Client, record
from servers import Bare, DockerRegistry, Nginx, Serve

LAYOUT = "serve, layout"
MEMORY = "serve, memory"
NGINX = "nginx, sendfile"
NGINX_READS = "nginx, no sendfile"
NGINXES = {NGINX: Nginx.WITH_SENDFILE, NGINX_READS: Nginx.WITHOUT_SENDFILE}
# The same, with a pool of threads that reads files.
NGINXES_ON_THREADS = {
    f"{name}, aio threads": settings | Nginx.ON_THREADS for name, settings in NGINXES.items()
}
BARE = "bare hyper"
DOCKER = "docker-registry"


@dataclasses.dataclass
class Metric:
    """A figure of a sample, and how it is shown."""

    key: str
    title: str
    digits: int = 0


@dataclasses.dataclass
class Side:
    """One of the servers of a case, or what takes the place of a server."""

    name: str
    # Makes a server to use in a `with`; None if the case starts it itself.
    start: Callable[[], Any] | None
    path: str = ""
    server: Any = None


@dataclasses.dataclass
class Options:
    """How often and how long is measured, and the programs that were built: serve and bare.rs."""

    serve: pathlib.Path
    bare: pathlib.Path
    rounds: int
    seconds: float


class Case:
    name = ""
    title = ""
    metrics: list[Metric] = []
    # What CPU seconds are counted for.
    cpu_unit = "100,000 requests"
    # Whether servers are started once for all rounds.
    keeps_servers = True

    def __init__(self, content, options):
        self.content, self.options = content, options

    def sides(self):
        """The sides, in the order of the first round."""
        raise NotImplementedError

    def check(self, side):
        """Compares an answer of a side with what it has to be, before it is measured."""
        raise NotImplementedError

    def warm(self, side):
        """What comes before the first round."""

    def measure(self, side):
        """One sample: a figure for each metric, and for `cpu`, `busy` and `peak` if there are."""
        raise NotImplementedError

    def targets(self):
        return []

    def run(self):
        """Measures all sides in all rounds: the samples by side, in order."""
        with contextlib.ExitStack() as stack:
            sides = self.sides()
            for side in sides:
                if self.keeps_servers and side.start:
                    side.server = stack.enter_context(side.start())
                self.check(side)
            for side in sides:
                self.warm(side)
            samples = {side.name: [] for side in sides}
            for number in range(self.options.rounds):
                first = number % len(sides)
                for side in sides[first:] + sides[:first]:
                    samples[side.name].append(self.measure(side))
        return samples

    def serve(self, name):
        """The example over the layout of that name."""
        layout = f"{name}={self.content.layout(name)}"
        return Serve(self.options.serve, "--read-only", "--layout", layout)

    def serve_memory(self, mebibytes):
        """The example over nothing but memory."""
        return Serve(self.options.serve, "--memory", str(mebibytes))

    @contextlib.contextmanager
    def filled(self, server, name, image):
        """A writable registry, once the image was pushed to it."""
        with server:
            with Client(server.address) as client:
                client.push(name, image)
            yield server

    def registries(self, name, image, path):
        """The registries that have an image, and bare hyper with the answer of the first one."""

        def bare():
            file = self.content.folder / f"{self.name}.answer"
            with self.serve(name) as server:
                record(server.address, path, file)
            return Bare(self.options.bare, file)

        def docker_registry():
            return DockerRegistry(self.content.folder)

        return [
            Side(LAYOUT, lambda: self.serve(name), path),
            Side(MEMORY, lambda: self.filled(self.serve_memory(1024), name, image), path),
            Side(BARE, bare, path),
            Side(DOCKER, lambda: self.filled(docker_registry(), name, image), path),
        ]

    def nginxes(self, path, settings=NGINXES):
        def nginx(chosen):
            return Nginx(self.content.folder, self.content.web, chosen)

        return [
            Side(name, lambda chosen=chosen: nginx(chosen), path)
            for name, chosen in settings.items()
        ]


class Usage:
    """What a server uses between the beginning and the end of a `with`."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.before, self.begin = self.server.cpu_seconds(), time.monotonic()
        return self

    def __exit__(self, *_):
        self.cpu = self.server.cpu_seconds() - self.before
        self.seconds = time.monotonic() - self.begin

    def sample(self, units, seconds, /, **figures):
        """A sample of so many units of work, that were done in so many seconds."""
        shared = {"cpu": self.cpu / units, "busy": self.cpu / seconds}
        return shared | {"peak": self.server.peak()} | figures
