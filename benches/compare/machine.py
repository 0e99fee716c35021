"""What the figures belong to: programs, machine, commit, date."""

import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

from server import PACKAGE

# By the Debian package that has them.
PROGRAMS = {
    "nginx": "nginx-light",
    "docker-registry": "docker-registry",
    "wrk": "wrk",
    "curl": "curl",
    "openssl": "openssl",
    "taskset": "util-linux",
    "fincore": "util-linux-extra",
    "dd": "coreutils",
    "nice": "coreutils",
    "git": "git",
}

VERSIONS = {
    "nginx": ["nginx", "-v"],
    "docker-registry": ["docker-registry", "--version"],
    "wrk": ["wrk", "--version"],
    "curl": ["curl", "--version"],
    "openssl": ["openssl", "version"],
    "rustc": ["rustc", "--version"],
}


def require():
    """Ends the program if something is missing."""
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if missing:
        packages = " ".join(sorted(missing))
        sys.exit(f"programs are missing that these Debian packages have: {packages}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the server, and one for the load")


def build_bare():
    """Builds bare.rs, and returns where it is."""
    command = ["cargo", "build", "--quiet", "--release", "--bench", "bare"]
    command += ["--message-format", "json"]
    done = subprocess.run(command, cwd=PACKAGE, stdout=subprocess.PIPE, text=True, check=True)
    messages = map(json.loads, done.stdout.splitlines())
    programs = [message["executable"] for message in messages if message.get("executable")]
    return pathlib.Path(programs[-1])


def describe(rounds, seconds):
    """Lines of what and where: names and values."""
    memory = pathlib.Path("/proc/meminfo").read_text().split()[1]
    cores = os.cpu_count()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "machine": f"{processor()}, {cores} cores, {int(memory) / 2**20:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in VERSIONS),
        "rounds": f"{rounds}, of {seconds:g} s for each measurement with wrk",
    }


def commit():
    def git(*arguments):
        return subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=PACKAGE,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()

    changes = " with changes that are not committed" if git("status", "--porcelain") else ""
    return git("rev-parse", "--short", "HEAD") + changes


def processor():
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo(), re.MULTILINE)
    return model[1] if model else platform.machine()


def cpuinfo():
    return pathlib.Path("/proc/cpuinfo").read_text()


def version(name):
    # wrk ends with 1 when it has told its version.
    done = subprocess.run(
        VERSIONS[name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return re.search(r"\d+\.\d[\w.+~-]*", done.stdout)[0]
