"""Pagerelay: stands between Alertmanager and PagerDuty and keeps PagerDuty in step with what fires."""

__version__ = "0.1.0"
