"""From a client's append to its answer: conditions, keys, ids, write concern (R7, R10, P6).

PURE.
"""

from __future__ import annotations

from replog.core.admission import Admission
from replog.core.answers import Answers
from replog.core.appends import Appends, encoded_size
from replog.core.effects import (
    AnswerAppend,
    ConfirmKeys,
    Effect,
    LoadKeys,
    Persist,
    RefusalReason,
    Refused,
)
from replog.core.entry import EntryId, end_of_wait
from replog.core.events import (
    AcksAwaited,
    AppendRequested,
    KeysConfirmed,
    KeysLoaded,
    RequestId,
)
from replog.core.facts import MasterFacts
from replog.core.keys import KeyWindow, first_found
from replog.core.refusals import moved_on, reused, unknown_id, unread, unserved
from replog.core.reign import Phase, Reign
from replog.core.replicas import Replicas
from replog.core.waiters import QueuedAppend, WaitingAppend
from replog.core.write_concern import WriteConcern, copies_needed

_READABLE = frozenset({RefusalReason.NO_QUORUM, RefusalReason.DISK_FULL})
"""Why a master may not store while its log and its links are as they should be."""


class Appending:
    """The appends of one master, from their arrival to their answers.

    Attributes:
        answers: who waits for other nodes, and hears of them.
    """

    def __init__(
        self,
        facts: MasterFacts,
        reign: Reign,
        replicas: Replicas,
        admission: Admission,
        *,
        default_concern: WriteConcern,
        window: KeyWindow,
    ) -> None:
        self._facts = facts
        self._reign = reign
        self._replicas = replicas
        self._admission = admission
        self._default_concern = default_concern
        self._appends = Appends()
        self.answers = Answers(facts, replicas, admission, self._appends)
        self._window = window
        self._unloaded: dict[RequestId, QueuedAppend] = {}
        self._confirming: dict[RequestId, QueuedAppend] = {}

    # --- arrival ------------------------------------------------------------------------

    def requested(self, event: AppendRequested, out: list[Effect]) -> None:
        """Queue an append, or refuse it before anything is stored (R10, R11)."""
        refused = self._refused_unlooked(event.keys)
        copies = self._copies(event.request, event.concern, refused, out)
        if copies is None:
            return
        queued = QueuedAppend(
            event.request,
            event.messages,
            encoded_size(event.messages, event.keys),
            copies,
            end_of_wait(self._facts.now, event.timeout),
            event.keys,
            event.expect,
        )
        if event.keys:
            self._take_in(queued, out)
        else:
            self._appends.add(queued)

    def acks_awaited(self, event: AcksAwaited, out: list[Effect]) -> None:
        """Let a client wait until a stored entry is on as many nodes as it wants (P2)."""
        refused = None
        if not 1 <= event.id <= self._facts.good_id:
            refused = unknown_id(event.id, self._facts.good_id, self._facts.damage)
        copies = self._copies(event.request, event.concern, refused, out)
        if copies is None:
            return
        deadline = end_of_wait(self._facts.now, event.timeout)
        waiting = WaitingAppend(event.request, event.id, event.id, copies, deadline)
        self.answers.wait(waiting, out)

    def copies_of(self, concern: WriteConcern | None) -> int | None:
        """Return how many nodes a write concern asks for; None where it cannot be met."""
        concern = self._default_concern if concern is None else concern
        return copies_needed(concern, nodes=self._admission.nodes)

    def _copies(
        self,
        request: RequestId,
        concern: WriteConcern | None,
        refused: Refused | None,
        out: list[Effect],
    ) -> int | None:
        """Return how many nodes are asked for; None where the request was refused."""
        copies = self.copies_of(concern)
        if copies is None:
            nodes = self._admission.nodes
            there = "there is 1 node: give 1"
            if nodes > 1:
                there = f"there are {nodes} nodes: give 1 to {nodes}"
            detail = f'w is {concern}, but {there}, "majority" or "all".'
            refused = Refused(RefusalReason.BAD_WRITE_CONCERN, detail)
        if refused is not None:
            out.append(AnswerAppend(request, refused))
            return None
        return copies

    def _refused_unlooked(self, keys: tuple[str | None, ...]) -> Refused | None:
        """Return why an append is refused without looking for its keys (P6).

        A master that only cannot store now still answers for what it has stored before.
        """
        refused = self._admission.blocked()
        if keys and refused is not None and refused.reason in _READABLE:
            return None
        return refused

    def abandon(self, request: RequestId, out: list[Effect]) -> None:
        """The client hung up. What has an id stays stored; what has none is dropped."""
        dropped = self._appends.abandon(request) or self._confirming.pop(request, None)
        if dropped is not None:
            self._end_keys(dropped.keys, out)
            return
        if self._unloaded.pop(request, None) is None:
            self._window.abandon(request)

    # --- keys (P6) ----------------------------------------------------------------------

    def _take_in(self, queued: QueuedAppend, out: list[Effect]) -> None:
        """Queue an append with keys, unless it may be stored, or on its way, already."""
        window = self._window
        if not window.is_loaded:
            self._unloaded[queued.request] = queued
            self._maybe_load(out)
            return
        if window.begin_new(queued.keys):
            self._appends.add(queued)
            return
        holder = window.holder_of(queued.keys)
        if holder is not None:
            window.hold(holder, queued)
            return
        window.begin(queued.keys)
        last_id = self._facts.durable.last_id
        candidates = window.candidates(queued.keys, last_id=last_id)
        if candidates is not None:
            self._confirming[queued.request] = queued
            out.append(
                ConfirmKeys(queued.request, queued.messages, queued.keys, candidates, window.number)
            )
        else:
            self._appends.add(queued)

    def _answer_or_load(self, out: list[Effect]) -> None:
        """Refuse who waits for the keys where they cannot be had: nobody waits for a repair."""
        refused = self._admission.blocked()
        is_readable = refused is None or refused.reason in _READABLE
        if refused is not None and is_readable and self._reign.phase is not Phase.SERVING:
            self._refuse_unloaded(unserved(refused), out)
        elif refused is None or is_readable or self._window.is_loading:
            self._maybe_load(out)
        else:
            self._refuse_unloaded(refused, out)

    def _refuse_unloaded(self, refused: Refused, out: list[Effect]) -> None:
        waiting, self._unloaded = self._unloaded, {}
        out += [AnswerAppend(queued.request, refused) for queued in waiting.values()]

    def _maybe_load(self, out: list[Effect]) -> None:
        """Have the window read, once somebody needs it: a start does not wait for it."""
        window = self._window
        if not self._unloaded or window.is_loading or self._reign.phase is not Phase.SERVING:
            return
        assert not self._facts.damage, "who needs the keys is refused while damage hides some"
        last_id = self._facts.durable.last_id
        window.is_loading = True
        out.append(LoadKeys(window.first_id(last_id), last_id, window.number))

    def keys_loaded(self, event: KeysLoaded, out: list[Effect]) -> None:
        """The log's keys are known: go on with who waited for that."""
        if event.number != self._window.number:
            return  # It tells of a log of before an adoption.
        if event.keys is None:
            self._window.is_loading = False  # R13: read again, unless damage is still known.
            if event.problem:
                self._refuse_unloaded(unread(event.problem), out)
            return
        self._window.load(event.keys)
        waiting, self._unloaded = self._unloaded, {}
        for queued in waiting.values():
            self._take_in_again(queued, out)

    def keys_confirmed(self, event: KeysConfirmed, out: list[Effect]) -> None:
        """The log has told whether an append's keys are stored, and with its messages."""
        if event.number != self._window.number:
            return  # It tells of a log of before an adoption.
        queued = self._confirming.pop(event.request, None)
        if queued is None:
            return  # Its client hung up.
        found = event.found
        if found is None:
            refused = self._admission.blocked() or unread(event.problem)
            out.append(AnswerAppend(queued.request, refused))
        elif not any(found):
            self._appends.add(queued)  # Another key of the same hash.
            return
        elif event.is_same and all(
            entry_id or key is None for entry_id, key in zip(found, queued.keys, strict=True)
        ):
            place, known = next((at, known) for at, known in enumerate(found) if known)
            first_id = EntryId(known - place)
            last_id = EntryId(first_id + len(queued.messages) - 1)
            waiting = WaitingAppend(
                queued.request,
                first_id,
                last_id,
                queued.copies,
                queued.deadline,
                is_replayed=True,
            )
            self.answers.wait(waiting, out)
        else:
            out.append(AnswerAppend(queued.request, reused(first_found(found), queued)))
        self._end_keys(queued.keys, out)

    def _end_keys(self, keys: tuple[str | None, ...], out: list[Effect]) -> None:
        """The fate of an append is known: who waited with the same key asks anew."""
        for queued in self._window.end(keys):
            self._take_in_again(queued, out)

    def _take_in_again(self, queued: QueuedAppend, out: list[Effect]) -> None:
        refused = self._refused_unlooked(queued.keys)
        if refused is None:
            self._take_in(queued, out)
        else:
            out.append(AnswerAppend(queued.request, refused))

    # --- batches ------------------------------------------------------------------------

    def persist_next(self, out: list[Effect]) -> None:
        """Make a batch of what is queued: group commit, one batch at a time (R7)."""
        facts = self._facts
        if self._unloaded:
            self._answer_or_load(out)
        if not self._appends.queue:
            return
        refused = self._admission.blocked()
        if refused is not None:
            for queued in self._appends.take_queue():
                out.append(AnswerAppend(queued.request, refused))
                self._end_keys(queued.keys, out)
            return
        if facts.is_persisting or self._reign.phase is not Phase.SERVING:
            return
        for queued in self._appends.take_unmet(facts.durable.last_id):
            out.append(AnswerAppend(queued.request, moved_on(queued, facts.durable.last_id)))
            self._end_keys(queued.keys, out)
        if not self._appends.queue:
            return
        facts.is_persisting = True
        if not facts.has_first_batch:
            facts.has_first_batch = True
            self._replicas.reconsider(out)
        first_id = EntryId(facts.durable.last_id + 1)
        messages = self._appends.form_batch(first_id)
        keys = self._appends.running_keys
        out.append(Persist(first_id, messages, self._reign.epoch, facts.committed_id, keys))

    @property
    def is_idle(self) -> bool:
        """Whether no append waits for anything."""
        appends = self._appends
        has_few = appends.queue or self._unloaded or self._confirming
        return not has_few and not len(appends.waiters)

    @property
    def will_persist(self) -> bool:
        """Whether a batch follows at once: something is queued, and it may be stored."""
        if not self._appends.queue or self._admission.blocked() is not None:
            return False
        suited = (None, self._facts.durable.last_id)
        return any(queued.expect in suited for queued in self._appends.queue.values())

    def adopted(self, out: list[Effect]) -> None:
        """Entries came that were not appended here: whose keys they have is read anew (R8)."""
        self._window.forget()
        looked_up = [*self._appends.take_keyed(), *self._confirming.values()]
        self._confirming.clear()
        self._unloaded.update((queued.request, queued) for queued in looked_up)
        for queued in looked_up:
            self._end_keys(queued.keys, out)

    def persisted(self, out: list[Effect]) -> None:
        """The running batch is durable here: its appends wait for the other nodes."""
        window, keyed = self._window, self._appends.take_running_keyed()
        if keyed:
            keys = self._appends.running_keys
            window.stored(keys, last_id=self._facts.durable.last_id)
            if not window.has_held:
                window.end([key for _, key in keys])
                keyed = []
        self._appends.batch_durable()
        for queued, waiting in keyed:
            for held in window.end(queued.keys):
                if _is_same(held, queued):
                    self.answers.wait(_replay(held, waiting), out)
                else:
                    self._take_in_again(held, out)
        self.answers.met(out)
        self.answers.late(out)

    def refused(self, refused: Refused, out: list[Effect]) -> None:
        """The running batch is proved not stored."""
        keyed = self._appends.take_running_keyed()
        running = self._appends.take_running()
        out += [AnswerAppend(waiting.request, refused) for waiting in running]
        for queued, _ in keyed:
            self._end_keys(queued.keys, out)

    def failed(self, out: list[Effect]) -> None:
        """What became of the running batch is unknown: its clients are told its ids.

        So are those who sent the same again: it may be stored, and "refused" would be a lie.
        """
        for waiting in self._appends.take_running():
            self.answers.pending(waiting, out)
        for queued, waiting in self._appends.take_running_keyed():
            for held in self._window.end(queued.keys):
                if _is_same(held, queued):
                    self.answers.pending(_replay(held, waiting), out)
                else:
                    self._unloaded[held.request] = held

    # --- the end ------------------------------------------------------------------------

    def stop(self, out: list[Effect]) -> None:
        """Answer who waits: stored, not yet at the write concern, or not stored at all.

        Who has the key of an append that is on its way to the disk waits for that.
        """
        self.persist_next(out)
        self.answers.all_pending(out)
        refused = self._admission.blocked()
        assert refused is not None, "only a stopping master is stopped"
        looked_up, self._confirming = list(self._confirming.values()), {}
        waiting, self._unloaded = [*self._unloaded.values(), *looked_up], {}
        out += [AnswerAppend(queued.request, refused) for queued in waiting]
        for queued in looked_up:
            self._end_keys(queued.keys, out)


def _is_same(one: QueuedAppend, other: QueuedAppend) -> bool:
    return one.keys == other.keys and one.messages == other.messages


def _replay(held: QueuedAppend, waiting: WaitingAppend) -> WaitingAppend:
    """Return a waiter for entries that an earlier append with the same keys stored (P6)."""
    return WaitingAppend(
        held.request,
        waiting.first_id,
        waiting.last_id,
        held.copies,
        held.deadline,
        is_replayed=True,
    )
