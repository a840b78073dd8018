"""Event sourcing on a replicated log: a shop's stock that is never oversold.

    python examples/stock.py receive 10      # ten pieces come in
    python examples/stock.py sell 3
    python examples/stock.py watch           # what happens, as it happens; Ctrl-C ends it

The log is the truth: each entry is an event, and the stock is what they add up to. A till reads
the log, decides, and appends only if nobody appended since (`expect`); else it reads on and decides
again. Any number of tills may do so at once, each at a node of its own.
"""

import json
import os
import sys

from replog import Client, Entry, PreconditionFailedError


class Stock:
    """What the events up to `last_id` add up to."""

    def __init__(self) -> None:
        self.pieces = 0
        self.last_id = 0

    def apply(self, entry: Entry) -> None:
        self.pieces += json.loads(entry.message)["pieces"]
        self.last_id = entry.id

    def catch_up(self, client: Client, *, min_id: int | None = None) -> None:
        for entry in client.read(from_=self.last_id + 1, min_id=min_id):
            self.apply(entry)


def change(client: Client, pieces: int) -> Stock:
    """Append one event; SystemExit where the stock would fall below nothing."""
    stock, moved_on_to = Stock(), None
    while True:
        stock.catch_up(client, min_id=moved_on_to)
        if stock.pieces + pieces < 0:
            raise SystemExit(f"sold out: {stock.pieces} left")
        try:
            event = json.dumps({"pieces": pieces})
            stored = client.append(event, expect=stock.last_id, w="majority")
        except PreconditionFailedError as error:
            moved_on_to = error.last_id  # somebody was faster: the decision is made anew
            continue
        stock.apply(Entry(stored.id, event))
        return stock


def watch(client: Client) -> None:
    stock = Stock()
    for entry in client.follow(from_=1):
        stock.apply(entry)
        print(f"{entry.id}: {stock.pieces} left", flush=True)


if __name__ == "__main__":
    command, *numbers = sys.argv[1:] or ["watch"]
    with Client(os.environ.get("LOG_URLS", "http://127.0.0.1:8000").split(",")) as log:
        if command == "watch":
            watch(log)
        else:
            sign = {"receive": 1, "sell": -1}[command]
            print(f"{change(log, sign * int(numbers[0])).pieces} left")
