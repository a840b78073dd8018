"""Performs what the core wants done, in the order given.

SHELL. Nothing here decides: each branch is one effect, and what comes of it goes back as an
event. Performing never waits: what takes time runs in a thread and reports later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar, assert_never

from replog.core.effects import (
    AnswerAppend,
    AnswerFetch,
    AnswerProbe,
    AnswerRead,
    CloseLink,
    ConfirmKeys,
    CutLog,
    Effect,
    Level,
    LoadKeys,
    LookUp,
    NoteCommit,
    Persist,
    PersistBatches,
    Repair,
    Say,
    Send,
    SendBatches,
    Show,
    StoreEpoch,
    StoreLogId,
    StoreLossSettled,
    StoreMembers,
    VerifySent,
)
from replog.core.entry import EntryId, Head
from replog.core.errors import DamagedLogError, ReplogError
from replog.core.events import (
    BatchesSent,
    DamageFound,
    Event,
    KeysConfirmed,
    KeysLoaded,
    LinkId,
    LookedUp,
)
from replog.core.messages import Batches, Damage, FetchEnd, ProbeAnswer
from replog.node.clients import Clients
from replog.node.feed import Feed
from replog.node.writer import Writer
from replog.replication.link import Link
from replog.replication.pace import APPENDS_COME_S
from replog.storage.log import Log

_log = logging.getLogger("replog.node")

LEVELS = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}

T = TypeVar("T")

Unread = ReplogError | OSError
"""Why the log could not be read."""


class Performer:
    """Does the effects of one core.

    Attributes:
        links: the open links; a message for any other is dropped without a word.
        clients: who waits for an answer.
        feed: what readers of this node see.
        is_quiet: the node stops, so that its links end is no news to its operator.
    """

    def __init__(
        self,
        *,
        log: Log,
        writer: Writer,
        clients: Clients,
        threads: Executor,
        handle: Callable[[Event], None],
        failed: Callable[[str], None],
    ) -> None:
        self._disk_log = log
        self._writer = writer
        self._threads = threads
        self._handle = handle
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self.links: dict[LinkId, Link] = {}
        self.clients = clients
        self.feed = Feed()
        self.is_quiet = False
        self._may_show = True
        self._answered_at = -APPENDS_COME_S
        """When an append was answered last, by the loop's clock."""

    def perform(self, effect: Effect) -> None:
        """Do one effect. The frequent ones stand first."""
        match effect:
            case Send(link, message):
                if (open_link := self.links.get(link)) is not None:
                    open_link.send(message)
            case AnswerAppend(request, outcome):
                self._answered_at = self._loop.time()
                self.clients.answer_append(request, outcome)
            case SendBatches():
                self._send_batches(effect)
            case NoteCommit(committed_id):
                # On the loop, not in the writer: it must precede the Show that follows, and
                # must not wait for the fdatasync that the writer is in (decision 0031).
                self._note_commit(committed_id)
            case Show(committed_id):
                if self._may_show:
                    self.feed.show(committed_id)
            case AnswerRead():
                if self._may_show or effect.committed_id <= self.feed.shown_id:
                    self.clients.answer_read(effect)
                else:
                    self.clients.fail_read(effect.request, "what it asks for was not noted")
            case Persist() | PersistBatches():
                self._writer.submit(effect)
            case StoreEpoch() | StoreLogId() | StoreMembers() | StoreLossSettled():
                self._writer.submit(effect)
            case CutLog() | Repair():
                self._writer.submit(effect)
            case Say(level, text):
                is_news = not self.is_quiet or level is Level.ERROR
                _log.log(LEVELS[level] if is_news else logging.DEBUG, "%s", text)
            case CloseLink(link, reason):
                if (open_link := self.links.pop(link, None)) is not None:
                    open_link.close(reason)
            case LookUp(link, heads):
                self._in_thread(
                    partial(self._contains, heads),
                    lambda present: self._handle(LookedUp(link, heads, present)),
                    unread=partial(self._cannot_read, link),
                )
            case VerifySent(link):
                self._verify_sent(link)
            case AnswerProbe(link, id):
                around = partial(self._disk_log.around, id)
                unread = partial(self._cannot_read, link)
                self._in_thread(around, partial(self._around, effect), unread=unread)
            case AnswerFetch(link):
                fetch, fetched = partial(self._fetch, effect), partial(self._fetched, effect)
                self._in_thread(fetch, fetched, unread=partial(self._cannot_read, link))
            case LoadKeys():
                self._load_keys(effect)
            case ConfirmKeys():
                self._confirm_keys(effect)
            case _:
                assert_never(effect)

    def _note_commit(self, committed_id: EntryId) -> None:
        try:
            self._disk_log.note_commit(committed_id)
        except (ReplogError, OSError) as error:
            self._may_show = False  # R7: after the next start it might not be shown any more
            self._failed(str(error))

    # --- what is read from the log ------------------------------------------------------

    def _in_thread(
        self, read: Callable[[], T], then: Callable[[T], None], *, unread: Callable[[Unread], None]
    ) -> None:
        """Run `read` in a thread, then `then` on the loop with what it returned.

        Where the log cannot be read, `unread` takes the reason; the core has heard of damage
        before. A read that fails says nothing about what is written: the node goes on.
        """

        def done(reading: asyncio.Future[T]) -> None:
            if reading.cancelled():
                return
            error = reading.exception()
            if error is None:
                then(reading.result())
            elif isinstance(error, (ReplogError, OSError)):
                if isinstance(error, DamagedLogError):
                    self.tell_damage()
                else:
                    _log.error("cannot read the log: %s", error)
                unread(error)
            else:
                _log.error("a defect in the program", exc_info=error)
                self._failed(f"{type(error).__name__}: {error}")

        self._loop.run_in_executor(self._threads, read).add_done_callback(done)

    def _verify_sent(self, link: LinkId) -> None:
        """Verify again what was read for a link whose other end refused it (R13)."""
        if (open_link := self.links.get(link)) is None:
            return

        def unread(error: Unread) -> None:
            _log.error("cannot verify again what was sent: %s", error)

        verify = partial(self._disk_log.verify_again, tuple(open_link.read_for))
        self._in_thread(verify, lambda _: self.tell_damage(), unread=unread)

    def _load_keys(self, effect: LoadKeys) -> None:
        number = effect.number
        self._in_thread(
            partial(self._disk_log.keys.between, effect.first_id, effect.last_id),
            lambda keys: self._handle(KeysLoaded(keys, number)),
            unread=lambda error: self._handle(KeysLoaded(None, number, _problem(error))),
        )

    def _confirm_keys(self, effect: ConfirmKeys) -> None:
        request, number = effect.request, effect.number
        confirm = partial(
            self._disk_log.keys.confirm,
            keys=effect.keys,
            messages=effect.messages,
            candidates=effect.candidates,
        )
        self._in_thread(
            confirm,
            lambda answer: self._handle(KeysConfirmed(request, *answer, number)),
            unread=lambda error: self._handle(
                KeysConfirmed(request, None, is_same=False, number=number, problem=_problem(error))
            ),
        )

    def _cannot_read(self, link: LinkId, error: Unread) -> None:
        """There is no answer: the link is ended, and the next one begins from a hello."""
        if (open_link := self.links.get(link)) is not None:
            open_link.close(f"the log cannot be read: {error}")

    def scrub(self) -> None:
        """Verify one more sealed segment again, in the background (R13)."""

        def done(scrubbing: asyncio.Future[Damage | None]) -> None:
            if scrubbing.cancelled():
                return
            error = scrubbing.exception()
            if error is not None:
                _log.error("cannot verify a segment again: %s", error)
            elif scrubbing.result() is not None:
                self.tell_damage()

        scrubbing = self._loop.run_in_executor(self._threads, self._disk_log.scrub_next)
        scrubbing.add_done_callback(done)

    def tell_damage(self) -> None:
        """A read found bytes that do not verify: tell the core, which fetches them (R13)."""
        for damage in self._disk_log.damage:
            self._handle(DamageFound(damage))

    def _contains(self, heads: tuple[Head, ...]) -> tuple[bool, ...]:
        return tuple(map(self._disk_log.contains, heads))

    def _around(self, effect: AnswerProbe, ends: tuple[Head, Head | None]) -> None:
        if (link := self.links.get(effect.link)) is not None:
            link.send(ProbeAnswer(effect.id, *ends))

    # --- batches out --------------------------------------------------------------------

    def _send_batches(self, effect: SendBatches) -> None:
        """Send what stands in memory at once; what is on the disk is read in a thread.

        A stream that keeps up gets the batches appended last, without a thread hop for each.
        The disk may have to verify a whole segment first (decision 0035).
        """
        if effect.link not in self.links:
            return
        log, through, size_max = self._disk_log, effect.through, effect.size_max
        recent = log.recent_batches(effect.after, through=through, size_max=size_max)
        if recent is not None:
            self._batches_read(effect, recent)
            return
        self.links[effect.link].read_for.append(EntryId(effect.after.last_id + 1))
        read = partial(log.read_batches, effect.after, through=through, size_max=size_max)
        then, unread = partial(self._batches_read, effect), partial(self._batches_unread, effect)
        self._in_thread(read, then, unread=unread)

    def _batches_read(self, effect: SendBatches, batches: tuple[Head, bytes] | None) -> None:
        link = self.links.get(effect.link)
        if link is None:
            return
        if batches is None:
            # The range turned out damaged since it was asked for. If it is repaired already,
            # nothing would ask again on this link.
            if self._disk_log.damage:
                self.tell_damage()
                self._none_read(effect)
            else:
                link.close(f"nothing followed on {effect.after}: ask again")
            return
        head, payload = batches
        message = Batches(effect.epoch, effect.after, head, effect.committed_id, payload)
        rest_s = link.pace.rest_s(
            behind=effect.through - head.last_id,
            appends_come=self._loop.time() - self._answered_at <= APPENDS_COME_S,
            waiting=self.clients.waiting_longest,
        )
        size = link.send(message, rest_s=rest_s)
        self._handle(BatchesSent(effect.link, head, size, effect.committed_id, effect.after))

    def _batches_unread(self, effect: SendBatches, error: Unread) -> None:
        if isinstance(error, DamagedLogError):
            self._none_read(effect)
        else:
            self._cannot_read(effect.link, error)

    def _none_read(self, effect: SendBatches) -> None:
        """Answer that nothing could be read; `DamageFound` has said why (R13)."""
        after = effect.after
        self._handle(BatchesSent(effect.link, after, 0, effect.committed_id, after))

    def _fetch(self, effect: AnswerFetch) -> tuple[bool, list[Batches]]:
        """Read what was asked for: whether its beginning is known, and the batches."""
        after = effect.after
        if not self._disk_log.contains(after):
            return False, []
        found: list[Batches] = []
        room = effect.size_max
        while room > 0 and after.last_id < effect.through:
            run = self._disk_log.read_batches(after, through=effect.through, size_max=room)
            if run is None:
                break
            head, payload = run
            found.append(Batches(effect.epoch, after, head, effect.committed_id, payload))
            room -= len(payload)
            after = head
        return True, found

    def _fetched(self, effect: AnswerFetch, answer: tuple[bool, list[Batches]]) -> None:
        link = self.links.get(effect.link)
        if link is None:
            return
        found, batches = answer
        for one in batches:
            link.read_for.append(EntryId(one.after.last_id + 1))
            link.send(one)
        after = batches[-1].head if batches else effect.after
        link.send(FetchEnd(after, found))


def _problem(error: Unread) -> str:
    """Return what a key could not be looked for over; "" for damage, which was told."""
    return "" if isinstance(error, DamagedLogError) else str(error)
