"""A certificate that the stand-in makes for itself, so that clients that insist on https can be tried."""

import ipaddress
import shutil
import ssl
import subprocess
from pathlib import Path

_DAYS = "3650"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class NoCertificate(Exception):
    """None could be made; the message says why."""


def own(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """Return the TLS context of the certificate in a folder, and its file; both are made if they are not there.

    The certificate is its own authority: give the file to clients as the one to trust. It names localhost, 127.0.0.1,
    ::1 and `host`. Raises NoCertificate.
    """
    cert, key = folder / "cert.pem", folder / "key.pem"
    if not (cert.exists() and key.exists()):
        _make(folder, cert, key, host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise NoCertificate(f"{cert} and {key} are no certificate and its key: {error}") from error
    return context, cert


def _make(folder: Path, cert: Path, key: Path, host: str) -> None:
    if shutil.which("openssl") is None:
        raise NoCertificate("the openssl program is missing, which would make one: install it")
    names = ",".join(dict.fromkeys(("DNS:localhost", "IP:127.0.0.1", "IP:::1", _san(host))))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(  # noqa: S603 - our own words; the host was split off an address by the caller
            [  # noqa: S607 - wherever it is installed
                "openssl",
                *("req", "-x509", *_KEY, "-days", _DAYS, "-subj", "/CN=PagerDuty sandbox"),
                *("-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(cert)),
            ],
            check=True,
            capture_output=True,
        )
    except OSError as error:
        raise NoCertificate(f"{folder}: {error.strerror or error}") from error
    except subprocess.CalledProcessError as error:
        raise NoCertificate(f"openssl: {error.stderr.decode(errors='replace').strip()[-200:]}") from error


def _san(host: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"DNS:{host}" if host else "DNS:localhost"
