"""The replicated log: one master, any number of secondaries, in order, durable.

NETWORK. `from replog import Client` brings what `replog.client` holds; until then nothing of it is
imported, so that commands and nodes start fast.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from replog.client import *  # noqa: F403 - exactly its __all__
else:

    def __getattr__(name: str) -> object:
        import importlib  # noqa: PLC0415 - costs nothing until it is needed

        client = importlib.import_module("replog.client")
        if name.startswith("_") or name not in client.__all__:
            raise AttributeError(f"module 'replog' has no attribute {name!r}")
        return getattr(client, name)
