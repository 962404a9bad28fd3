"""The registry of suppression kinds: each is one file here and one line below."""
