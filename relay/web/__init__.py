"""The doors: every URL of the relay, served with aiohttp."""

from relay.web.doors import NO_CREDENTIALS, NO_SOURCES, Doors, Limits
from relay.web.exposure import exposed, oddities
from relay.web.listening import Entrance
from relay.web.routes import Side, make_app, make_runner
from relay.web.web_file import WebFile

__all__ = [
    "NO_CREDENTIALS",
    "NO_SOURCES",
    "Doors",
    "Entrance",
    "Limits",
    "Side",
    "WebFile",
    "exposed",
    "make_app",
    "make_runner",
    "oddities",
]
