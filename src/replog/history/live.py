"""Whether appends were answered again when no fault was left.

PURE.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf

from replog.history.findings import Finding, Kind
from replog.history.lines import Append, Fault
from replog.history.losses import REPAIRED
from replog.history.reading import History


def judge_liveness(history: History) -> Iterator[Finding]:
    """Yield what stayed without an "ok" after each "healed" that says within what time.

    It is judged up to the next fault, or to the next look at disks, for which nodes are ended.
    """
    ends = sorted(
        [
            *(fault.at for fault in history.faults if fault.what not in REPAIRED),
            *(disk.at for disk in history.disks),
        ]
    )
    appends = sorted(history.appends, key=lambda append: append.invoked)
    begins = [append.invoked for append in appends]
    latest = list(accumulate(map(_ended, appends), max))
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
        ended = append.given_up if append.returned is None else append.returned
        if ended is not None and ended < end and append.w <= len(history.nodes):
            if append.outcome == "refused" and append.key is not None:
                continue  # its key may be another's
            text = f"an append asked for {append.invoked - healed.at:.3f} s after all was well "
            text += "was refused" if append.outcome == "refused" else "was not answered"
            yield Finding(Kind.NOT_LIVE, number(append), text)


def _ended(append: Append) -> float:
    if append.returned is not None:
        return append.returned
    return append.invoked if append.given_up is None else append.given_up
