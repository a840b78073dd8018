"""The rows of the comparison, in the order of its document.

PURE.
"""

from __future__ import annotations

from benchmarks.peers.rows import (
    appends,
    batches,
    catch_up,
    growth,
    history,
    lookups,
    starts,
    stopped,
    visible,
)
from benchmarks.peers.rows.row import Row

ROWS = (
    Row(
        appends.ROW,
        "Single appends",
        "100 bytes, one request at a time for each client; each round starts on empty folders.",
        appends.measure,
    ),
    Row(batches.ROW, "Many entries at once", batches.SETTINGS, batches.measure),
    Row(
        history.ROW,
        "The whole log: `GET /logs` over 1 million entries",
        history.SETTINGS,
        history.measure,
    ),
    Row(
        lookups.ROW,
        "Reads at random",
        "From one node that holds 1 million entries.",
        lookups.measure,
    ),
    Row(
        visible.ROW,
        "Append to visible",
        f"{visible.RATE:g} appends/s; the stream's reader is a process of its own.",
        visible.measure,
    ),
    Row(catch_up.ROW, "An empty secondary", catch_up.SETTINGS, catch_up.measure),
    Row(
        starts.ROW,
        "Start of a master",
        "From the start of the process until `/readyz` answers 200, imports included.",
        starts.measure,
    ),
    Row(
        stopped.ROW,
        "One secondary stopped",
        "The same cluster, with it and without it by turns.",
        stopped.measure,
    ),
    Row(
        growth.ROW,
        "As the log grows",
        growth.SETTINGS,
        growth.measure,
    ),
)

ROW_BY_NAME = {row.name: row for row in ROWS}
