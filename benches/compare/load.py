"""What loads a server, in processes of their own: wrk, curl, HEAD requests, work in Python."""

import multiprocessing
import pathlib
import signal
import subprocess
import time

from content import MANIFEST
from curl import CURL
from failure import Failure

FOLDER = pathlib.Path(__file__).resolve().parent
FORK = multiprocessing.get_context("fork")
# Programs that take longer than this hang.
PATIENCE = 120


def url(address, path):
    return "http://%s:%d%s" % (*address, path)


def wrk(address, path, connections, seconds):
    """Asks for `path` again and again: returns requests, bytes, and the seconds they took."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", "60s"]
    command += ["--timeout", "30s", "--script", FOLDER / "done.lua"]
    command += ["--header", f"Accept: {MANIFEST}", url(address, path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        time.sleep(seconds)
        # wrk takes whole seconds only, but ends in good order when it is interrupted.
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    counts = [line.split()[1:] for line in output.splitlines() if line.startswith("counts ")]
    if not counts:
        raise Failure(f"wrk printed no counts: {output!r}")
    requests, length, microseconds, failed = map(int, counts[0])
    if failed or not length:
        raise Failure(f"wrk counted {failed} failures and {length} bytes: {output!r}")
    return requests, length, microseconds / 1e6


def heads(program, address, path, seconds):
    """As `wrk`, with HEAD and 32 connections: returns requests, and the seconds they took."""
    target = "%s:%d" % address
    output = finished([program, "--heads", target, path, str(seconds)])
    requests, elapsed = output.split()
    return int(requests), float(elapsed)


def download_all(address, paths, size, at_once):
    """Downloads all, each `size` bytes, so many at once: returns the seconds it took."""
    command = ["nice", *CURL, "--no-progress-meter"]
    command += ["--parallel", "--parallel-immediate", "--parallel-max", str(at_once)]
    command += ["--write-out", "%{http_code} %{size_download}\n"]
    for path in paths:
        command += [url(address, path), "--output", "/dev/null"]
    begin = time.monotonic()
    output = finished(command)
    seconds = time.monotonic() - begin
    if output.splitlines() != [f"200 {size}"] * len(paths):
        raise Failure(f"curl got {output!r}")
    return seconds


def upload(address, path, file):
    """Puts a file in one request: returns the seconds it took."""
    command = [*CURL, "--header", "Expect:", "--header", "Content-Type: application/octet-stream"]
    command += ["--write-out", "\n%{http_code} %{size_upload} %{time_total}"]
    output = finished([*command, "--upload-file", file, url(address, path)])
    code, length, seconds = output.splitlines()[-1].split()
    if (code, int(length)) != ("201", file.stat().st_size):
        raise Failure(f"the upload ended with {output!r}")
    return float(seconds)


def finished(command):
    """The output of a program that has to succeed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, encoding="utf-8", timeout=PATIENCE
    )
    if done.returncode != 0:
        raise Failure(f"{command[0]} ended with {done.returncode}")
    return done.stdout


class Worker:
    """A process that does `work` until its `with` ends, and then says what `work` returned."""

    def __init__(self, work, *arguments):
        self.stopping = FORK.Event()
        self.ours, theirs = FORK.Pipe()
        self.process = FORK.Process(target=self.run, args=(theirs, work, *arguments), daemon=True)
        self.process.start()
        theirs.close()
        self.result = None
        try:
            self.receive()
        except BaseException:
            self.kill()
            raise

    def run(self, pipe, work, *arguments):
        try:
            pipe.send((True, work(lambda: pipe.send((True, None)), self.stopping, *arguments)))
        # What is raised in here is raised again where the result is asked for.
        except (Exception, SystemExit) as failure:
            pipe.send((False, str(failure)))

    def receive(self):
        if not self.ours.poll(PATIENCE):
            raise Failure("a load does not answer")
        well, result = self.ours.recv()
        if not well:
            raise Failure(result)
        return result

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        try:
            if failure is None:
                self.stopping.set()
                self.result = self.receive()
        finally:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.join()
