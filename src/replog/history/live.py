"""Whether appends and reads were answered again when no fault was left.

PURE.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf

from replog.history.findings import Finding, Kind
from replog.history.lines import Append, Fault, Read
from replog.history.log import Log
from replog.history.losses import REPAIRED
from replog.history.reading import History


def judge_liveness(history: History, log: Log) -> Iterator[Finding]:
    """Yield what stayed without an "ok" after each "healed" that says within what time.

    It is judged up to the next fault, or to the next look at disks, for which nodes are ended.
    """
    ends = sorted(
        [
            *(fault.at for fault in history.faults if fault.what not in REPAIRED),
            *(disk.at for disk in history.disks),
        ]
    )
    appends = sorted(history.appends, key=_invoked)
    begins = [append.invoked for append in appends]
    latest = list(accumulate(map(_ended, appends), max))
    reads = sorted(history.reads, key=_invoked)
    for fault in history.faults:
        if fault.what == "healed" and fault.within_s is not None:
            end = next((at for at in ends if at > fault.at), inf)
            begin = bisect_left(begins, fault.at)
            stop = bisect_left(begins, end, begin)
            while begin > 0 and latest[begin - 1] > fault.at:
                begin -= 1
            waiting = [
                append
                for append in appends[begin:stop]
                if append.invoked >= fault.at or _ended(append) > fault.at
            ]
            yield from _judge(history, waiting, fault, fault.within_s, end)
            begin = bisect_left(reads, fault.at + fault.within_s, key=_invoked)
            stop = bisect_left(reads, end, begin, key=_invoked)
            yield from _judge_reads(history, log, reads[begin:stop], fault, end)


def _judge(
    history: History, waiting: Sequence[Append], healed: Fault, within_s: float, end: float
) -> Iterator[Finding]:
    """Yield what was not answered well between a moment and `end`.

    Clients may take their time: the seconds count from the first append that waits then, or comes.
    """
    number = history.number
    begun = max(healed.at, min((append.invoked for append in waiting), default=healed.at))
    deadline = begun + within_s
    good = min(
        (
            append.returned
            for append in waiting
            if append.outcome == "ok" and append.returned is not None and append.returned > begun
        ),
        default=inf,
    )
    if good > deadline and end > deadline:
        what = f"the first came after {good - begun:.3f} s" if good != inf else "none was"
        text = f'within {within_s} s an append is to be answered "ok", and {what}'
        yield Finding(Kind.NOT_LIVE, number(healed), text)
    for append in waiting:
        if append.invoked < deadline or append.outcome in {"ok", "pending"}:
            continue
        if _has_ended(append, end) and append.w <= len(history.nodes):
            if append.outcome == "refused" and append.key is not None:
                continue  # its key may be another's
            text = f"an append asked for {append.invoked - healed.at:.3f} s after all was well "
            text += "was refused" if append.outcome == "refused" else "was not answered"
            yield Finding(Kind.NOT_LIVE, number(append), text)


def _judge_reads(
    history: History, log: Log, reads: Sequence[Read], healed: Fault, end: float
) -> Iterator[Finding]:
    """Yield each node that answered none of `reads`, which came when all had to be well, "ok".

    One that was answered clears its node: the others may have met one of its limits. Those that
    are conditional, or of what stands nowhere, may have been refused for what they asked.
    """
    cleared = {read.node for read in reads if read.outcome == "ok"}
    failed: dict[str, list[Read]] = {}
    for read in reads:
        if read.node in cleared or read.is_conditional or read.first > len(log):
            continue
        if _has_ended(read, end):
            failed.setdefault(read.node, []).append(read)
    for node, each in failed.items():
        refused = sum(read.outcome == "refused" for read in each)
        text = (
            f"{node} answered no read, {refused} of {len(each)} were refused; the first one was "
            f"asked for {each[0].invoked - healed.at:.3f} s after all was well"
        )
        yield Finding(Kind.NOT_LIVE, history.number(each[0]), text)


def _invoked(line: Append | Read) -> float:
    return line.invoked


def _has_ended(line: Append | Read, end: float) -> bool:
    """Return whether it is known to have been answered, or given up, before `end`."""
    ended = line.given_up if line.returned is None else line.returned
    return ended is not None and ended < end


def _ended(append: Append) -> float:
    if append.returned is not None:
        return append.returned
    return append.invoked if append.given_up is None else append.given_up
