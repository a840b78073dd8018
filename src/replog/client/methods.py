"""What a method of a client says of itself, where it performs a call that is written elsewhere.

SHELL. It looks at functions while the module that has them is imported, and at nothing later.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")


def performs(
    call: Callable[Q, object], *, returns: object = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Give a method the name, docstring and parameters of `call`, and what it returns itself.

    Args:
        returns: None is what the flow of `call` comes to: of `Flow[Entry]` it is `Entry`.
    """

    def with_its_words(method: Callable[P, T]) -> Callable[P, T]:
        told = returns
        if told is None:
            told = str(call.__annotations__["return"]).removeprefix("Flow[").removesuffix("]")
        perform = functools.wraps(call)(method)
        perform.__annotations__ = {**call.__annotations__, "return": told}  # a copy: it is shared
        signature = inspect.signature(call).replace(return_annotation=told)
        vars(perform)["__signature__"] = signature
        return method

    return with_its_words
