"""The reading threads of a simulated node: what other nodes ask of its log.

PURE. It follows `replog.node.effects`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.core.effects import (
    AnswerFetch,
    AnswerProbe,
    ConfirmKeys,
    LoadKeys,
    LookUp,
    SendBatches,
    VerifySent,
)
from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.core.events import BatchesSent, DamageFound, KeysConfirmed, KeysLoaded, LookedUp
from replog.core.messages import Batches, FetchEnd, ProbeAnswer
from replog.storage.log import Log

if TYPE_CHECKING:
    from tests.simulator.shell import SimNode

ReadEffect = LookUp | LoadKeys | ConfirmKeys | AnswerProbe | AnswerFetch | SendBatches | VerifySent


class SimReader:
    """The reads of one process, and what the scrubber does in the same threads."""

    def __init__(self, node: SimNode, log: Log) -> None:
        self._node = node
        self._log = log

    def read(self, effect: ReadEffect) -> None:
        """Do what a reading thread does; damage that it meets is news for the core."""
        try:
            match effect:
                case LookUp():
                    present = tuple(map(self._log.contains, effect.heads))
                    self._node.deliver(LookedUp(effect.link, effect.heads, present))
                case AnswerProbe():
                    below, above = self._log.around(effect.id)
                    self._node.send(effect.link, ProbeAnswer(effect.id, below, above))
                case AnswerFetch():
                    self._answer_fetch(effect)
                case SendBatches():
                    self._send_batches(effect)
                case LoadKeys(first_id, last_id, number):
                    keys = self._log.keys.between(first_id, last_id)
                    self._node.deliver(KeysLoaded(keys, number))
                case ConfirmKeys():
                    self._confirm_keys(effect)
                case VerifySent():
                    self._log.verify_again(list(map(EntryId, range(1, self._log.head.last_id + 1))))
                    self.tell_damage()
        except DamagedLogError as error:
            self.tell_damage()
            if isinstance(effect, LoadKeys):
                self._node.deliver(KeysLoaded(None, effect.number))
            elif isinstance(effect, ConfirmKeys):
                self._node.deliver(
                    KeysConfirmed(effect.request, None, is_same=False, number=effect.number)
                )
            elif not isinstance(effect, SendBatches):
                self._node.close_link(effect.link, f"the log cannot be read: {error}")

    def _confirm_keys(self, effect: ConfirmKeys) -> None:
        found, is_same = self._log.keys.confirm(
            keys=effect.keys, messages=effect.messages, candidates=effect.candidates
        )
        self._node.deliver(KeysConfirmed(effect.request, found, is_same, effect.number))

    def tell_damage(self) -> None:
        """A read found bytes that do not verify: tell the core, which fetches them (R13)."""
        for damage in self._log.damage:
            self._node.deliver(DamageFound(damage))

    def scrub(self) -> None:
        """Verify one more sealed segment again, in the background (R13)."""
        if self._log.scrub_next() is not None:
            self.tell_damage()

    def _answer_fetch(self, effect: AnswerFetch) -> None:
        log = self._log
        after = effect.after
        if not log.contains(after):
            self._node.send(effect.link, FetchEnd(after, found=False))
            return
        room = effect.size_max
        while room > 0:
            run = log.read_batches(after, through=effect.through, size_max=room)
            if run is None:
                break
            head, payload = run
            self._node.send(
                effect.link, Batches(effect.epoch, after, head, effect.committed_id, payload)
            )
            room -= len(payload)
            after = head
        self._node.send(effect.link, FetchEnd(after, found=True))

    def _send_batches(self, effect: SendBatches) -> None:
        seen = self._node.links.get(effect.link)
        if seen is None or not seen.end.is_open:
            return
        run = self._log.read_batches(effect.after, through=effect.through, size_max=effect.size_max)
        if run is None:  # damaged, as this process has found meanwhile (R13)
            assert self._log.damage, f"no batch follows on {effect.after}"
            self.tell_damage()
            sent = BatchesSent(effect.link, effect.after, 0, effect.committed_id, effect.after)
            self._node.deliver(sent)
            return
        head, payload = run
        self._node.send(
            effect.link,
            Batches(effect.epoch, effect.after, head, effect.committed_id, payload),
        )
        self._node.deliver(
            BatchesSent(effect.link, head, len(payload), effect.committed_id, effect.after)
        )
