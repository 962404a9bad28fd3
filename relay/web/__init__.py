"""The doors: every URL of the relay, served with aiohttp."""

from relay.web.doors import Doors, Limits
from relay.web.routes import make_app, make_runner

__all__ = ["Doors", "Limits", "make_app", "make_runner"]
