"""How the relay speaks to PagerDuty."""
