"""Rooms together: real servers, real files, real processes."""
