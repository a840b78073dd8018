"""A bug: a master that stops says of what it stored that it did not.

SHELL.
"""

from __future__ import annotations

from replog.core.answers import Answers
from replog.core.effects import AnswerAppend, Effect, RefusalReason, Refused


def _refuse_all(answers: Answers, out: list[Effect]) -> None:
    refused = Refused(RefusalReason.STOPPING, "the node is stopping")
    out += [AnswerAppend(one.request, refused) for one in answers._appends.waiters.all()]


Answers.all_pending = _refuse_all  # type: ignore[method-assign, assignment]
