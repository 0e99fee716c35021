"""Many downloads at once whose readers are slow."""

import itertools
import os
import time

from slow import SlowDownload

PIECE = 16 << 10
PIECES_PER_SECOND = 4
# Bytes per second.
PACE = PIECE * PIECES_PER_SECOND
# The readers take turns in so many groups, so that there is no rush.
GROUPS = 25
# Each group is so much further than the one before: else the buffers of all would be empty at once.
AHEAD = 8 << 10
# So many are read this far in the end. No buffer of the kernel has so much: `tcp_wmem` is 4 MiB
# unless it is set.
FAR_READERS, FAR = 5, 16 << 20


def slow_downloads(ready, stopping, address, path, size, count):
    """So many downloads at once, each read at a slow pace until it is told to stop.

    Returns the seconds that it took, and the least that one of them received. Some then read what
    no buffer holds: a server that has stopped sending is noticed.
    """
    os.nice(10)
    downloads = [SlowDownload(address, path, size) for _ in range(count)]
    groups = [downloads[number::GROUPS] for number in range(GROUPS)]
    for number, group in enumerate(groups):
        for download in group:
            download.read_to(number * AHEAD)
    ready()
    seconds = read_slowly(groups, stopping)
    least = min(
        download.received - number * AHEAD
        for number, group in enumerate(groups)
        for download in group
    )
    for download in downloads[:FAR_READERS]:
        download.read_to(FAR)
    return seconds, least


def read_slowly(groups, stopping):
    """Lets each group have a turn after the other: returns the seconds that it took."""
    begin = time.monotonic()
    for turn in itertools.count():
        pieces, number = divmod(turn, GROUPS)
        owed = number * AHEAD + (pieces + 1) * PIECE
        for download in groups[number]:
            download.read(owed - download.received)
        next_turn = begin + (turn + 1) / PIECES_PER_SECOND / GROUPS
        time.sleep(max(0, next_turn - time.monotonic()))
        if stopping.is_set():
            return time.monotonic() - begin
