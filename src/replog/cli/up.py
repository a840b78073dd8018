"""`replog up`: a cluster on this machine, one process a node.

SHELL.
"""

from __future__ import annotations

from typing import Annotated

import typer

from replog.cli.output import ExitCode, fail
from replog.config.table import DELAY_S_MAX, LOG_LEVEL


def up(
    secondaries: Annotated[
        int, typer.Option("--secondaries", min=0, max=99, help="how many, besides the master")
    ] = 2,
    port: Annotated[
        int,
        typer.Option(
            "--port", min=1, max=65535, help="the master's; the secondaries take the next ones"
        ),
    ] = 8000,
    data_dir: Annotated[
        str, typer.Option("--data-dir", metavar="DIR", help="holds a directory for each node")
    ] = "replog-data",
    delay: Annotated[
        list[str] | None,
        typer.Option(
            "--delay", metavar="N=SECONDS", help="inject latency into secondary N; can be repeated"
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="delete the data of the last run first")
    ] = False,
    log_level: Annotated[
        str, typer.Option("--log-level", help=f"of the nodes: {LOG_LEVEL.expects}")
    ] = "warning",
) -> None:
    """Start a master and secondaries on this machine; Ctrl-C ends them.

    \b
    replog up                                     a master on 8000, secondaries on 8001 and 8002
    replog up --secondaries 4 --port 9000         five nodes, on 9000 to 9004
    replog up --delay 1=2.0                       secondary 1 answers two seconds late
    replog up --fresh                             an empty log

    Data is kept between runs. Settings in REPLOG_… variables do not reach these nodes.
    """
    from replog.cli.local_cluster import LocalCluster, plan_nodes

    if port + secondaries > 65535:
        fail(f"--port {port}: the secondaries' ports would end beyond 65535", ExitCode.USAGE)
    try:
        LOG_LEVEL.parse(log_level)
    except ValueError:
        fail(f'--log-level: got "{log_level}", expected {LOG_LEVEL.expects}', ExitCode.USAGE)
    nodes = plan_nodes(
        secondaries=secondaries,
        port=port,
        data_dir=data_dir,
        delays=parse_delays(delay or [], secondaries=secondaries),
        log_level=log_level,
    )
    raise typer.Exit(LocalCluster(nodes, data_dir=data_dir, is_fresh=fresh).run())


def parse_delays(texts: list[str], *, secondaries: int) -> dict[int, float]:
    """Return seconds by the secondary's number, from 1 on."""
    delays: dict[int, float] = {}
    for text in texts:
        number, _, seconds = text.partition("=")
        try:
            key, value = int(number), float(seconds)
        except ValueError:
            key, value = 0, -1.0
        if not (1 <= key <= secondaries and 0 <= value <= DELAY_S_MAX):
            fail(
                f'--delay: got "{text}", expected N=SECONDS like 1=2.0, with N from 1 to '
                f"{secondaries} and SECONDS up to {DELAY_S_MAX}",
                ExitCode.USAGE,
            )
        delays[key] = value
    return delays
