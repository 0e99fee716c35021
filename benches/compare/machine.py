"""What the figures belong to: programs, machine, commit, date."""

import datetime
import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess
import sys

from cargo import PACKAGE

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
}
# What the results are written down with.
PROGRAMS_TO_SAVE = {"git": "git"}

VERSIONS = {
    "nginx": ["nginx", "-v"],
    "docker-registry": ["docker-registry", "--version"],
    "wrk": ["wrk", "--version"],
    "curl": ["curl", "--version"],
    "openssl": ["openssl", "version"],
    "rustc": ["rustc", "--version"],
}


# Open files: a thousand connections, and what else a program has open.
LEAST_FILES, FILES = 2048, 8192


def require(saves):
    """Ends the program if something is missing."""
    # Debian has nginx there, where only the PATH of root leads.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    programs = PROGRAMS | (PROGRAMS_TO_SAVE if saves else {})
    missing = {package for program, package in programs.items() if not shutil.which(program)}
    if missing:
        packages = " ".join(sorted(missing))
        sys.exit(f"programs are missing that these Debian packages have: {packages}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the server, and one for the load")
    raise_open_files()


def raise_open_files():
    """Lets this program, and all that it starts, have as many open files as they need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if most < LEAST_FILES:
        sys.exit(f"the hard limit of open files (ulimit -Hn) is {hard}: it has to be {LEAST_FILES}")
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


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
            encoding="utf-8",
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
        VERSIONS[name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    return re.search(r"\d+\.\d[\w.+~-]*", done.stdout)[0]
