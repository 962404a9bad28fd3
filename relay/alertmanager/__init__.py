"""A client of Alertmanager's API v2."""

from relay.alertmanager.client import AlertmanagerClient, Fault, State

__all__ = ["AlertmanagerClient", "Fault", "State"]
