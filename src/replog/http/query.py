"""Reading a query string strictly: every parameter known, and given once.

PURE.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qsl

from replog.http.json_body import quoted
from replog.http.problems import refusal

_WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")

NUMBER_MAX = 10**15 - 1
"""The largest id or count that a parameter may give."""


def parse_query(query: bytes, *, known: Collection[str]) -> dict[str, str]:
    """Return the parameters of `query` by name.

    Raises:
        ProblemError: bad-parameter, naming the one that is unknown or given twice.
    """
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise refusal(
            "bad-parameter", "The query is not UTF-8; percent-encode it as UTF-8."
        ) from error
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            takes = f"takes {' and '.join(known)}" if known else "takes no parameters"
            raise refusal(
                "bad-parameter",
                f"The parameter {quoted(name)} is unknown: this call {takes}.",
                parameter=quoted(name)[1:-1],
            )
        if name in parameters:
            raise refusal(
                "bad-parameter",
                f"The parameter {quoted(name)} is given twice; give it once.",
                parameter=name,
            )
        parameters[name] = value
    return parameters


def whole_number(parameters: dict[str, str], name: str, *, minimum: int) -> int | None:
    """Return the parameter `name` as a number of at least `minimum`; None where not given."""
    text = parameters.get(name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None or int(text) < minimum:
        raise refusal(
            "bad-parameter",
            f"The parameter {name} is {quoted(text)}, and must be a whole number from {minimum} "
            f"to {NUMBER_MAX}, such as {name}=10.",
            parameter=name,
        )
    return int(text)
