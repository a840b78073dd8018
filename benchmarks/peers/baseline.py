"""The plain version: what comes first to mind for a replicated log. `make bench-peers` compares.

NETWORK. A list in memory, a thread for each request, one `requests.post` for each secondary after
the other; no disk, no retries, no order among secondaries. Nothing of this is in the product.
"""

from __future__ import annotations

import os
import threading

import requests
from fastapi import FastAPI
from pydantic import BaseModel

SECONDARIES = os.environ.get("SECONDARIES", "").split()
TIMEOUT_S = 30

app = FastAPI()
lock = threading.Lock()
log: dict[int, str] = {}


class Message(BaseModel):  # type: ignore[explicit-any]
    message: str


class Entry(BaseModel):  # type: ignore[explicit-any]
    id: int
    message: str


@app.post("/logs")
def append(message: Message) -> Entry:
    with lock:
        entry = Entry(id=len(log) + 1, message=message.message)
        log[entry.id] = entry.message
    for url in SECONDARIES:
        answer = requests.post(f"{url}/replicate", json=entry.model_dump(), timeout=TIMEOUT_S)
        answer.raise_for_status()
    return entry


@app.post("/replicate")
def replicate(entry: Entry) -> Entry:
    log[entry.id] = entry.message
    return entry


@app.get("/logs")
def entries() -> list[Entry]:
    return [Entry(id=entry_id, message=log[entry_id]) for entry_id in sorted(log)]
