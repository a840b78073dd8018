"""What was answered to appends, held against the log: is all there, once, whole, in order?

PURE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from replog.history.asked import AllAsked, Asked
from replog.history.findings import Finding, Kind, quoted
from replog.history.lines import Append
from replog.history.log import Log
from replog.history.losses import Losses
from replog.history.reading import History


def judge_appends(history: History, log: Log, asked: AllAsked, losses: Losses) -> Iterator[Finding]:
    """Yield what is wrong between answers and log. Places have been found."""
    number = history.number
    yield from _doubles(log, asked, number)
    yield from _strangers(log, asked, number)
    for one in asked.each:
        if len(one.messages) > 1 and one.place and not _is_whole(one, log):
            text = f"{_named(one)} was to be stored whole, and part of it stands at {one.place}"
            yield Finding(Kind.TORN, number(one.first), text)
        elif one.retries or one.first.first_id not in {one.place, None}:
            yield from _misplaced(one, log, history, losses)
    yield from _out_of_order(asked, number, losses.wiped_at(history.nodes[0]))


def _named(one: Asked) -> str:
    more = f" and {len(one.messages) - 1} more" if len(one.messages) > 1 else ""
    return f"{quoted(one.messages[0])}{more}"


def _is_whole(one: Asked, log: Log) -> bool:
    return log.messages[one.place - 1 : one.last] == one.messages


def _doubles(log: Log, asked: AllAsked, number: Callable[[Append], int]) -> Iterator[Finding]:
    for message, place in log.doubles():
        one = asked.of.get(message)
        line = number(one.attempts[-1]) if one is not None else 0
        text = f"{quoted(message)} stands at id {log.places[message]}, and at id {place} again"
        yield Finding(Kind.DUPLICATE, line, text)
    by_key: dict[str, Asked] = {}
    for one in asked.each:
        key = one.first.key
        if key is not None and one.place:
            other = by_key.setdefault(key, one)
            if other is not one:
                text = f"key {key!r} is stored with {_named(other)}, and with {_named(one)} too"
                yield Finding(Kind.DUPLICATE, number(one.attempts[-1]), text)


def _strangers(log: Log, asked: AllAsked, number: Callable[[Append], int]) -> Iterator[Finding]:
    of = asked.of
    for message, place in log.places.items():
        one = of.get(message)
        if one is None:
            text = f"{quoted(message)} stands at id {place}, and nobody asked for it"
            yield Finding(Kind.PHANTOM, 0, text)
        elif one.is_refused:
            text = f"{quoted(message)} was refused, and stands at id {place}"
            yield Finding(Kind.PHANTOM, number(one.attempts[-1]), text)


def _misplaced(one: Asked, log: Log, history: History, losses: Losses) -> Iterator[Finding]:
    """Yield where an answer named an id at which the append does not stand."""
    for append in one.attempts:
        told = append.first_id
        if told is None or told == one.place or _may_be_gone(append, history, losses):
            continue
        if one.place:
            text = f"{_named(one)} was answered as id {told}, and stands at id {one.place}"
            yield Finding(Kind.INCONSISTENT_ID, history.number(append), text)
        elif append.outcome == "unknown":
            continue  # it was to stand there, and nobody knows that it does
        elif not log.is_final:
            text = f"{_named(one)} was answered as id {told}, where {quoted(log.at(told))} stands"
            yield Finding(Kind.INCONSISTENT_ID, history.number(append), text)
        else:
            there = f"{quoted(log.at(told))} stands there"
            where = there if log.at(told) is not None else f"the log ends at {len(log)}"
            text = f'{_named(one)} was answered "{append.outcome}" as id {told}, and {where}'
            yield Finding(Kind.LOST, history.number(append), text)


def _may_be_gone(append: Append, history: History, losses: Losses) -> bool:
    """Whether every node that the answer may have counted lost its disk since (P3)."""
    spared = [node for node in history.nodes if losses.wiped_at(node) < append.invoked]
    copies = append.w if append.outcome == "ok" else 1
    return history.nodes[0] not in spared and len(history.nodes) - len(spared) >= copies


def _out_of_order(
    asked: AllAsked, number: Callable[[Append], int], forgot: float
) -> Iterator[Finding]:
    """Yield what was asked for when something behind it in the log had been answered already.

    What was answered before the master lost its disk, at `forgot`, may have been stored anew.
    """
    placed = sorted((one for one in asked.each if one.place), key=lambda one: -one.place)
    earliest: Asked | None = None
    for one in placed:
        if earliest is not None and earliest.answered < one.invoked:
            text = (
                f"{_named(one)} was asked for when {_named(earliest)} had been answered, "
                f"and stands before it, at id {one.place}, not behind {earliest.place}"
            )
            yield Finding(Kind.OUT_OF_ORDER, number(one.first), text)
        if one.answered > forgot and (earliest is None or one.answered < earliest.answered):
            earliest = one
