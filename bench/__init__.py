"""Measures the figures of docs/performance.md: ratios inside one interleaved run."""
