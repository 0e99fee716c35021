"""curl, as the benchmarks start it."""

# Neither ~/.curlrc nor the proxies of the environment have a say: `--disable` has to come first.
# Paths of files are not patterns.
CURL = ["curl", "--disable", "--noproxy", "*", "--globoff", "--http1.1", "--max-time", "120"]
CURL += ["--silent", "--show-error"]
