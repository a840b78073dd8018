"""The processes of other systems: started here, and ended by their own id.

SHELL.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

START_WITHIN_S = 30.0
END_WITHIN_S = 5.0


class Processes:
    """Processes that live as long as the context; what they say goes to files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.terminate()
        end = time.monotonic() + END_WITHIN_S
        for process in self._running.values():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with self._log_of(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C comes to this program, which ends them
            )

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when `condition` holds.

        A condition that finds nobody listening yet may raise OSError.

        Raises:
            SystemExit: it did not come to hold in time, or one of the processes ended; with what
                all of them said last.
        """
        end = time.monotonic() + START_WITHIN_S
        while True:
            with suppress(OSError):
                if condition():
                    return
            ended = [name for name, one in self._running.items() if one.poll() is not None]
            if ended or time.monotonic() > end:
                raise SystemExit(f"{what}: never came to be ({ended} ended)\n{self.said()}")
            time.sleep(0.05)

    def said(self) -> str:
        return "\n".join(
            f"--- {name}\n{self._log_of(name).read_text(errors='replace')[-2000:]}"
            for name in self._running
        )

    def _log_of(self, name: str) -> Path:
        return self.directory / f"{name}.out"
