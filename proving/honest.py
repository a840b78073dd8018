"""Honest clients beside an attack: a program, so that nothing but the node holds them up.

NETWORK. Run as `python -m proving.honest PORT`; it appends until its input ends. The first line
that it prints says that it began; the second is JSON: `Appended`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

from proving.program import when_input_ends
from tests.http.raw import Answer, Connection

CLIENTS = 4
NEWCOMERS = 2
"""Clients more that connect anew for each append, as a command line does."""
REST_S = 0.02
"""Between two appends of a client."""


@dataclass
class Appended:
    """What came of appends.

    Attributes:
        took_s: how long each took, of clients that keep their connections.
        new_took_s: how long each took with its connection, of newcomers.
        failed: what was answered in place of 200.
    """

    took_s: list[float] = field(default_factory=list)
    new_took_s: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def tell(self) -> str:
        return json.dumps(asdict(self))

    def take(self, told: bytes) -> None:
        """Take what another process told."""
        values = json.loads(told)
        self.took_s.extend(map(float, values["took_s"]))
        self.new_took_s.extend(map(float, values["new_took_s"]))
        self.failed.extend(map(str, values["failed"]))


def append_until(ending: threading.Event, port: int) -> Appended:
    """Append one after the other, at a steady pace, by `CLIENTS` clients and `NEWCOMERS`."""
    appended = Appended()
    works = [_append] * CLIENTS + [_append_anew] * NEWCOMERS
    threads = [
        threading.Thread(target=work, args=(number, ending, port, appended))
        for number, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return appended


def _append(number: int, ending: threading.Event, port: int, appended: Appended) -> None:
    made = 0
    try:
        with Connection(port) as connection:
            while not ending.wait(REST_S):
                made += 1
                body = _body(number, made)
                began = time.monotonic()
                answer = connection.append(body)
                appended.took_s.append(time.monotonic() - began)
                _judge(answer, appended)
    except (OSError, EOFError) as error:
        appended.failed.append(repr(error))


def _append_anew(number: int, ending: threading.Event, port: int, appended: Appended) -> None:
    made = 0
    while not ending.wait(REST_S):
        made += 1
        body = _body(number, made)
        began = time.monotonic()
        try:
            with Connection(port) as connection:
                answer = connection.append(body)
        except (OSError, EOFError) as error:
            appended.failed.append(f"a newcomer met {error!r}")
            continue
        appended.new_took_s.append(time.monotonic() - began)
        _judge(answer, appended)


def _body(number: int, made: int) -> bytes:
    return json.dumps({"message": f"honest {number} {made}"}).encode()


def _judge(answer: Answer, appended: Appended) -> None:
    if answer.status != 200:
        appended.failed.append(f"{answer.status} {answer.body!r}")


def main() -> None:
    ending = when_input_ends()
    print("begun", flush=True)
    print(append_until(ending, int(sys.argv[1])).tell(), flush=True)


if __name__ == "__main__":
    main()
