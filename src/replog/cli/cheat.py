"""`replog cheat`: lines for curl that work at this server as they stand.

SHELL.
"""

from __future__ import annotations

import re
import sys

from replog.cli.options import DEFAULT_URL, UrlOption
from replog.cli.output import CommandError, note, style_of
from replog.cli.status import members_of

SHEET = """\
# Append, at the master
  # only if nobody appended since id {last}
  curl -H 'If-Match: "{last}"' -d '{"message":"next"}' {master}/logs
  # one entry, held by all nodes
  curl -d '{"message":"hello"}' {master}/logs
  # held by one, waiting 5 s at the most
  curl -d '{"message":"hello","w":1,"timeout":5}' {master}/logs
  # stored once, however often it is sent
  curl -H 'Idempotency-Key: order-17' -d '{"message":"paid"}' {master}/logs
  # several at once, all or none
  curl -H 'Content-Type: application/json' -d '[{"message":"a"},{"message":"b"}]' {master}/logs
  # a file, a line an entry: {"message":"…"}
  curl -H 'Content-Type: application/x-ndjson' --data-binary @FILE {master}/logs
  # who holds it
  curl {master}/logs/{entry}/acks
  # wait until all do, 10 s at the most
  curl '{master}/logs/{entry}/acks?w=all&wait=10'

# Read, at any node
  # everything
  curl {reader}/logs
  # a page
  curl '{reader}/logs?from=1&limit=10'
  # the last three, a line each
  curl -H 'Accept: application/x-ndjson' '{reader}/logs?last=3'
  # one entry
  curl {reader}/logs/{entry}
  # what you have just written, wherever you ask
  curl '{reader}/logs?min_id={entry}&last=1'
  # checked with the master at this moment
  curl '{reader}/logs?level=master&last=1'
  # follow it, a line each
  curl -N -H 'Accept: application/x-ndjson' {reader}/logs/stream

# Look after it
  # how the cluster is
  curl {master}/health
  # ready to serve?
  curl {reader}/readyz
"""
SHEET_OF_SECONDARIES = """\
  # slow a secondary down; 0 undoes it
  curl -X PUT -d '{"seconds":0.5}' {reader}/delay
"""
OF_AN_ENTRY = re.compile(r"^  #.*\n.*\{entry\}.*\n", re.MULTILINE)
"""What asks for an entry by its id: an empty log has none."""


def cheat(url: UrlOption = DEFAULT_URL) -> None:
    """Print lines for curl that work at this server as they stand.

    \b
    replog cheat                                  for the cluster at the usual place
    replog cheat --url http://10.0.0.5:8000       for yours
    """
    from replog.cli.node import AskedNode

    places = {"master": url.rstrip("/"), "reader": url.rstrip("/"), "last": "1", "entry": "1"}
    with AskedNode(url) as node:
        try:
            places |= _places(node.url, node.health())
        except CommandError as error:
            note(f"replog: {error}")
    style = style_of(sys.stdout)
    sheet = SHEET + (SHEET_OF_SECONDARIES if places["reader"] != places["master"] else "")
    if places["entry"] == "0":
        sheet = OF_AN_ENTRY.sub("", sheet)
    for name, value in places.items():
        sheet = sheet.replace(f"{{{name}}}", value)
    for line in sheet.splitlines():
        print(style.green(line) if line.startswith("#") else line)


def _places(url: str, health: dict[str, object]) -> dict[str, str]:
    """Return where to append, where to read, the end of the log, and an id that is shown."""
    last_id, shown_id = (str(health.get(name) or 0) for name in ("last_id", "committed_id"))
    found = {"last": last_id, "entry": shown_id}
    master = health.get("master")
    if isinstance(master, dict) and master.get("url"):
        found["master"] = str(master["url"])
    secondaries = members_of(health.get("secondaries"))
    if secondaries:
        found["reader"] = str(secondaries[0].get("url") or url)
    return found
