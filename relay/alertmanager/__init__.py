"""A client of Alertmanager's API v2."""

from relay.alertmanager.client import AlertmanagerClient, Fault, Listed, State

__all__ = ["AlertmanagerClient", "Fault", "Listed", "State"]
