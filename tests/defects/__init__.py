"""Bugs planted on purpose: each must turn the tests red that guard against it (`make defects`)."""
