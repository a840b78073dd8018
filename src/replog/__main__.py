"""`python -m replog`, and the command `replog`: the command line, or what is to be installed first.

SHELL. `pip install replog` brings the client alone; commands and nodes are extras.
"""

from __future__ import annotations

import sys

EXTRA_OF_COMMANDS = frozenset({"typer", "click", "rich"})


def main() -> None:
    """Run the command line of this process."""
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


if __name__ == "__main__":
    main()
