"""`python -m replog`, and the command `replog`: the command line, or what is to be installed first.

SHELL. `pip install replog` brings the client alone; commands and nodes are extras.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

SERVERS = frozenset({"serve", "up"})
EXTRA_OF_COMMANDS = frozenset({"typer", "click", "rich"})


def main() -> None:
    """Run the command line of this process."""
    is_server = not SERVERS.isdisjoint(sys.argv[1:2])
    if is_server:  # until its event loop runs, and has its own way to end
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
    try:
        from replog.cli.main import main as run  # noqa: PLC0415 - it may not be there

        run()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "replog"}:
            raise  # a defect, not an installation without extras
        extra = "cli" if missing in EXTRA_OF_COMMANDS else "server"
        print(f"replog: {missing} is not installed: pip install 'replog[{extra}]'", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:  # while it imports: later the command says what that means
        sys.exit(128 + signal.SIGINT)


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: a stop is no failure, and nobody waits for an answer yet.

    What is done to a data directory meanwhile ends as by a kill, at any call (P2). An exception
    would come up wherever Python is: within the event loop, or where it is dropped.
    """
    del number, frame
    os._exit(0)


if __name__ == "__main__":
    main()
