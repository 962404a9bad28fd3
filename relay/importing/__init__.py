"""Turns an alertmanager.yml into the relay's routing file, and into the alertmanager.yml that goes with it."""

from relay.importing.converting import Imported, convert
from relay.importing.reading import Note, named_templates

__all__ = ["Imported", "Note", "convert", "named_templates"]
