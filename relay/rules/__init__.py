"""The study: pure judgement. No I/O, no clock, no logger."""
