"""Bodies that nobody means to send: mutated from real ones, put through the accept path and through real sockets."""
