"""The mail room: claim, render, send, settle; budgets and lanes."""

from relay.dispatcher.mailroom import Dispatcher

__all__ = ["Dispatcher"]
