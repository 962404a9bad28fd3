"""Certificates made by the openssl program, for tests that speak TLS."""

import shutil
import subprocess
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Authority:
    """Somebody who signs certificates; its own is `cert`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("!! the openssl program is missing: TLS is NOT tested")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.cert, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req", "-x509", *_KEY, "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.cert)

    def sign(self, name: str, *sans: str) -> tuple[Path, Path]:
        """Make a certificate that bears some names (`DNS:a`, `IP:127.0.0.1`, ..), and its key."""
        cert, key, asked = (self._folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        extra = self._folder / f"{name}.ext"
        extra.write_text(f"subjectAltName={','.join(sans or (f'DNS:{name}',))}\n")
        _openssl("req", *_KEY[:-2], "-subj", f"/CN={name}", "-keyout", key, "-out", asked)
        signed = ("-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-days", "2", "-extfile", extra)
        _openssl("x509", "-req", "-in", asked, "-out", cert, *signed)
        return cert, key


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
