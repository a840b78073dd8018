"""Translates between the messages of a link and JSON: see `wire` for the frames.

PURE. The forms below are the protocol, the structs of `core.messages` its meaning: they are kept
apart so that a renamed field of the core cannot change the protocol. Unknown members are
ignored, so that a later version can add some; an unknown type is refused.
"""

from __future__ import annotations

from typing import Annotated, Final, assert_never

import msgspec
from msgspec import UNSET, Meta, UnsetType

from replog.core.entry import EntryId, Epoch, Head, LogId, NodeId, ReignId, Tick
from replog.core.messages import (
    Acknowledgement,
    Batches,
    CommitNews,
    Cut,
    Damage,
    Fetch,
    FetchEnd,
    Heartbeat,
    Hello,
    Message,
    Probe,
    ProbeAnswer,
    ReadBarrier,
    ReadMark,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
    Welcome,
)

_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Seconds = Annotated[float, Meta(ge=0)]
_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
_RefusalName = Annotated[str, Meta(max_length=64)]


class _Form(msgspec.Struct, tag_field="type", frozen=True, gc=False):
    """Base of all forms: `type` says which one it is."""


class _HeadForm(msgspec.Struct, frozen=True, gc=False):
    epoch: _Count
    last_id: _Count
    hash: _Hash


class _DamageForm(msgspec.Struct, frozen=True, gc=False):
    before: _HeadForm
    segment: str
    offset: _Count
    reason: str
    last_id: _Count | None
    claimed_id: _Count


class _HelloForm(_Form, frozen=True, tag="hello"):
    format: _Count
    node_id: str
    log_id: str | None
    epoch: _Count
    epoch_owner: str | None
    delay_s: _Seconds
    members: tuple[str, ...] = ()


class _WelcomeForm(_Form, frozen=True, tag="welcome"):
    log_id: str
    node_id: str
    epoch: _Count
    url: str
    members: tuple[str, ...]
    reign: str = ""


class _ReportForm(_Form, frozen=True, tag="report"):
    head: _HeadForm
    committed_id: _Count
    damage: tuple[_DamageForm, ...] = ()
    number: _Count = 0


class _ProbeForm(_Form, frozen=True, tag="probe"):
    id: _Count


class _ProbeAnswerForm(_Form, frozen=True, tag="probe-answer"):
    id: _Count
    below: _HeadForm
    above: _HeadForm | None


class _FetchForm(_Form, frozen=True, tag="fetch"):
    after: _HeadForm
    through: _Count | None


class _FetchEndForm(_Form, frozen=True, tag="fetch-end"):
    after: _HeadForm
    found: bool


class _CutForm(_Form, frozen=True, tag="cut"):
    to: _HeadForm


class _StreamStartForm(_Form, frozen=True, tag="stream-start"):
    after: _HeadForm


class _BatchesForm(_Form, frozen=True, tag="batches"):
    epoch: _Count
    after: _HeadForm
    head: _HeadForm
    committed_id: _Count


class _CommitNewsForm(_Form, frozen=True, tag="commit-news"):
    epoch: _Count
    committed_id: _Count


class _AcknowledgementForm(_Form, frozen=True, tag="acknowledgement"):
    head: _HeadForm
    damaged_from: _Count | UnsetType = UNSET


class _ReadBarrierForm(_Form, frozen=True, tag="read-barrier"):
    epoch: _Count
    number: _Count


class _ReadMarkForm(_Form, frozen=True, tag="read-mark"):
    epoch: _Count
    number: _Count
    committed_id: _Count | None


class _HeartbeatForm(_Form, frozen=True, tag="heartbeat"):
    epoch: _Count
    delay_s: _Seconds
    committed_id: _Count = 0
    at: _Count = 0


class _RefusalForm(_Form, frozen=True, tag="refusal"):
    kind: _RefusalName
    detail: str
    epoch: _Count
    epoch_owner: str | None


_JoiningForm = (
    _HelloForm
    | _WelcomeForm
    | _ReportForm
    | _ProbeForm
    | _ProbeAnswerForm
    | _FetchForm
    | _FetchEndForm
    | _CutForm
    | _StreamStartForm
    | _RefusalForm
)
_ControlForm = (
    _JoiningForm
    | _CommitNewsForm
    | _AcknowledgementForm
    | _HeartbeatForm
    | _ReadBarrierForm
    | _ReadMarkForm
)

_encoder: Final = msgspec.json.Encoder()
_control_decoder: Final = msgspec.json.Decoder(_ControlForm)
_batches_decoder: Final = msgspec.json.Decoder(_BatchesForm)


def line_of(message: Message) -> bytes:
    """Return the JSON of `message`; of `Batches` without the payload."""
    if isinstance(message, Batches):
        return _encoder.encode(
            _BatchesForm(
                epoch=message.epoch,
                after=_head_form(message.after),
                head=_head_form(message.head),
                committed_id=message.committed_id,
            )
        )
    return _encoder.encode(_control_form(message))


def control_message(line: bytes) -> Message:
    """Return the message that `line` is. Raises: msgspec.DecodeError, ValueError."""
    return _control_message(_control_decoder.decode(line))


def batches_message(line: bytes, payload: bytes) -> Batches:
    """Return the batches that `line` announces. Raises: as `control_message`."""
    form = _batches_decoder.decode(line)
    return Batches(
        epoch=Epoch(form.epoch),
        after=_head(form.after),
        head=_head(form.head),
        committed_id=EntryId(form.committed_id),
        payload=payload,
    )


def _head_form(head: Head) -> _HeadForm:
    return _HeadForm(epoch=head.epoch, last_id=head.last_id, hash=head.hash.hex())


def _head(form: _HeadForm) -> Head:
    return Head(Epoch(form.epoch), EntryId(form.last_id), bytes.fromhex(form.hash))


def _damage_form(damage: Damage) -> _DamageForm:
    return _DamageForm(
        before=_head_form(damage.before),
        segment=damage.segment,
        offset=damage.offset,
        reason=damage.reason,
        last_id=damage.last_id,
        claimed_id=damage.claimed_id,
    )


def _damage(form: _DamageForm) -> Damage:
    return Damage(
        before=_head(form.before),
        last_id=None if form.last_id is None else EntryId(form.last_id),
        segment=form.segment,
        offset=form.offset,
        reason=form.reason,
        claimed_id=EntryId(form.claimed_id),
    )


def _control_form(message: Message) -> _Form:
    match message:
        case Acknowledgement(head, damaged_from):
            return _AcknowledgementForm(
                head=_head_form(head), damaged_from=UNSET if damaged_from is None else damaged_from
            )
        case CommitNews(epoch, committed_id):
            return _CommitNewsForm(epoch=epoch, committed_id=committed_id)
        case Heartbeat(epoch, delay_s, committed_id, at):
            return _HeartbeatForm(epoch=epoch, delay_s=delay_s, committed_id=committed_id, at=at)
        case ReadBarrier(epoch, number):
            return _ReadBarrierForm(epoch=epoch, number=number)
        case ReadMark(epoch, number, committed_id):
            return _ReadMarkForm(epoch=epoch, number=number, committed_id=committed_id)
        case Hello(format_, node_id, log_id, epoch, epoch_owner, delay_s, members):
            return _HelloForm(format_, node_id, log_id, epoch, epoch_owner, delay_s, members)
        case Welcome(log_id, node_id, epoch, url, members, reign):
            return _WelcomeForm(log_id, node_id, epoch, url, members, reign)
        case Report(head, committed_id, damage, number):
            return _ReportForm(
                head=_head_form(head),
                committed_id=committed_id,
                damage=tuple(_damage_form(one) for one in damage),
                number=number,
            )
        case Probe(id_):
            return _ProbeForm(id=id_)
        case ProbeAnswer(id_, below, above):
            return _ProbeAnswerForm(
                id=id_, below=_head_form(below), above=None if above is None else _head_form(above)
            )
        case Fetch(after, through):
            return _FetchForm(after=_head_form(after), through=through)
        case FetchEnd(after, found):
            return _FetchEndForm(after=_head_form(after), found=found)
        case Cut(to):
            return _CutForm(to=_head_form(to))
        case StreamStart(after):
            return _StreamStartForm(after=_head_form(after))
        case Refusal(kind, detail, epoch, epoch_owner):
            return _RefusalForm(kind.value, detail, epoch, epoch_owner)
        case Batches():
            raise AssertionError("batches travel as a binary frame")
        case _:
            assert_never(message)


def _control_message(form: _ControlForm) -> Message:
    match form:
        case _AcknowledgementForm():
            damaged_from = form.damaged_from
            return Acknowledgement(
                head=_head(form.head),
                damaged_from=None if damaged_from is UNSET else EntryId(damaged_from),
            )
        case _CommitNewsForm():
            return CommitNews(Epoch(form.epoch), EntryId(form.committed_id))
        case _HeartbeatForm():
            committed_id, at = EntryId(form.committed_id), Tick(form.at)
            return Heartbeat(Epoch(form.epoch), form.delay_s, committed_id, at)
        case _ReadBarrierForm():
            return ReadBarrier(Epoch(form.epoch), form.number)
        case _ReadMarkForm():
            committed = None if form.committed_id is None else EntryId(form.committed_id)
            return ReadMark(Epoch(form.epoch), form.number, committed)
        case _:
            return _joining_message(form)


def _joining_message(form: _JoiningForm) -> Message:
    """Return a message that comes seldom: before a stream, or at its end."""
    match form:
        case _HelloForm():
            return Hello(
                format=form.format,
                node_id=NodeId(form.node_id),
                log_id=None if form.log_id is None else LogId(form.log_id),
                epoch=Epoch(form.epoch),
                epoch_owner=None if form.epoch_owner is None else NodeId(form.epoch_owner),
                delay_s=form.delay_s,
                members=form.members,
            )
        case _WelcomeForm():
            return Welcome(
                log_id=LogId(form.log_id),
                node_id=NodeId(form.node_id),
                epoch=Epoch(form.epoch),
                url=form.url,
                members=form.members,
                reign=ReignId(form.reign),
            )
        case _ReportForm():
            return Report(
                head=_head(form.head),
                committed_id=EntryId(form.committed_id),
                damage=tuple(_damage(one) for one in form.damage),
                number=form.number,
            )
        case _ProbeForm():
            return Probe(EntryId(form.id))
        case _ProbeAnswerForm():
            above = None if form.above is None else _head(form.above)
            return ProbeAnswer(EntryId(form.id), _head(form.below), above)
        case _FetchForm():
            through = None if form.through is None else EntryId(form.through)
            return Fetch(_head(form.after), through)
        case _FetchEndForm():
            return FetchEnd(_head(form.after), form.found)
        case _CutForm():
            return Cut(_head(form.to))
        case _StreamStartForm():
            return StreamStart(_head(form.after))
        case _RefusalForm():
            return Refusal(
                kind=RefusalKind(form.kind),
                detail=form.detail,
                epoch=Epoch(form.epoch),
                epoch_owner=None if form.epoch_owner is None else NodeId(form.epoch_owner),
            )
        case _:
            assert_never(form)
