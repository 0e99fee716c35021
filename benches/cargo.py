"""What cargo builds for the benchmarks, and where it builds it."""

import json
import pathlib
import subprocess
import sys

PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def built(kind, name):
    """Builds an `example` or a `bench` as `cargo build --release` does, and returns where it is."""
    command = ["cargo", "build", "--quiet", "--release", f"--{kind}", name]
    command += ["--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=PACKAGE, stdout=subprocess.PIPE, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"cargo could not build {name}")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == name and message.get("executable"):
            return pathlib.Path(message["executable"])
    sys.exit(f"cargo has not built {name}")


def target_folder():
    """Where cargo puts all that it builds."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    done = subprocess.run(
        command, cwd=PACKAGE, stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    return pathlib.Path(json.loads(done.stdout)["target_directory"])
