"""A stand-in for PagerDuty: a program of its own that shares no code with the sender it checks."""
