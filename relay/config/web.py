"""Reads the file of --web.config.file, in the format of Prometheus' exporter-toolkit: TLS, users, headers and a rate.

The format: exporter-toolkit docs/web-configuration.md; what each field does there: web/tls_config.go, web/handler.go.
"""

import os
import re
import ssl
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Literal

from relay.alert import Duration
from relay.config import yaml
from relay.config.problems import Problems, problem_of
from relay.config.reading import Unreadable, decoded, read_file
from relay.config.schema import Boolean, Hidden, Section, Text, Timeout, _parsed
from relay.config.senders import san
from relay.config.shape import shaped_as
from relay.config.yaml import Path
from relay.errors import BadConfig, Problem
from relay.rules.quoting import go_quote
from relay.secret import Secret

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
"""Go's names (crypto/tls CipherSuites) and OpenSSL's; those of TLS 1.3 are always on, in Go as here."""
_CIPHERS_13 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": ""}
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
"""The headers that may be set, and their values where only some make sense (web/handler.go extraHTTPHeaders)."""
_BCRYPT = re.compile(r"\$2[aby]?\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_DEAREST = 14
"""Above this cost one comparison takes a second and more, and all others wait for it."""
_NOT_CHECKED = (
    "would let any certificate in, since nobody checks it: use VerifyClientCertIfGiven or RequireAndVerifyClientCert, "
    "with client_ca_file"
)
_AUTH_TYPES = {
    "RequestClientCert": _NOT_CHECKED,
    "RequireAnyClientCert": _NOT_CHECKED,
    "RequireClientCert": _NOT_CHECKED,
}
_MODES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def _whole(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError("must be a whole number")
    return int(text)


class _Tls(Section):
    cert: Text = ""
    key: Hidden | None = None
    client_ca: Text = ""
    cert_file: Text = ""
    key_file: Text = ""
    client_ca_file: Text = ""
    client_auth_type: Text = ""
    client_allowed_sans: list[Text] | None = None
    cipher_suites: list[Text] = []
    curve_preferences: list[Text] = []
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"
    prefer_server_cipher_suites: Boolean = True


class _Http(Section):
    http2: Boolean | None = None
    headers: dict[str, Text] = {}


class _Rate(Section):
    interval: Timeout = 0
    burst: Annotated[int, _parsed(_whole, "count")] = 0


class _File(Section):
    tls_server_config: _Tls = _Tls()
    http_server_config: _Http = _Http()
    basic_auth_users: dict[str, Hidden] = {}
    rate_limit: _Rate = _Rate()


@dataclass(frozen=True, slots=True)
class Rate:
    """One request each `interval`, and up to `burst` at once."""

    interval: Duration
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How the doors are listened at, and who may come in."""

    tls: ssl.SSLContext | None = None
    allowed_sans: frozenset[str] | None = None
    """Names of which a client's certificate must bear one; None: any will do."""
    client_certificates: bool = False
    """Whether nobody comes in without a certificate that was checked."""
    users: Mapping[str, Secret] = field(default_factory=dict)
    """bcrypt hashes by user name; none: nobody is asked."""
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: Rate | None = None
    files: tuple[FilePath, ...] = ()
    """The file itself and all that it names."""


def read_web(path: FilePath) -> tuple[WebConfig, tuple[Problem, ...]]:
    """Read the file and all it names; answer warnings as well. Raises BadConfig with every problem in it."""
    try:
        root, faults = yaml.read(decoded(read_file(path)))
    except Unreadable as error:
        raise BadConfig((Problem(str(path), error.line, error.column, "", str(error)),)) from None
    except yaml.BadYaml as error:
        raise BadConfig(tuple(problem_of(str(path), bad) for bad in error.faults)) from None
    problems = Problems(str(path), root)
    for bad in faults:
        problems.fault(bad)
    file = shaped_as(_File, yaml.plain(root), problems)
    config = _Reader(file, path, problems).read() if file is not None else WebConfig()
    if problems.failed(()):
        raise BadConfig(problems.found)
    return config, problems.found


class _Reader:
    """Turns a well-formed file into what it means; what is wrong is reported."""

    def __init__(self, file: _File, path: FilePath, problems: Problems) -> None:
        self._file = file
        self._path = path
        self._problems = problems
        self._files = [path]

    def read(self) -> WebConfig:
        spec, http = self._file.tls_server_config, self._file.http_server_config
        if http.http2 and spec.model_fields_set:
            self._problems.warn(("http_server_config", "http2"), "HTTP/2 is not spoken: HTTP/1.1 is, take it out")
        tls = self._tls(spec)
        self._check_headers(http.headers)
        self._check_users(self._file.basic_auth_users)
        return WebConfig(
            tls=tls,
            allowed_sans=frozenset(map(san, spec.client_allowed_sans))
            if spec.client_allowed_sans is not None
            else None,
            client_certificates=tls is not None and tls.verify_mode is ssl.CERT_REQUIRED,
            users=self._file.basic_auth_users,
            headers=http.headers,
            rate=self._rate(self._file.rate_limit),
            files=tuple(self._files),
        )

    # TLS

    def _tls(self, spec: _Tls) -> ssl.SSLContext | None:
        here: Path = ("tls_server_config",)
        if not any(getattr(spec, name) for name in _TURNS_ON):
            if spec.model_fields_set and not self._problems.failed(here):
                self._problems.error(here, "cert_file and key_file are missing: without them TLS is not spoken at all")
            return None
        cert, key = self._pem(spec, "cert"), self._pem(spec, "key")
        client_ca = self._pem(spec, "client_ca", needed=False)
        self._check_client_auth(spec, client_ca)
        if self._problems.failed(here):
            return None
        return self._context(spec, cert, key, client_ca)

    def _pem(self, spec: _Tls, name: str, *, needed: bool = True) -> bytes:
        """Read what is given inline or in a file, whose name begins at the folder of this file."""
        inline, file = getattr(spec, name), getattr(spec, f"{name}_file")
        here: Path = ("tls_server_config", f"{name}_file")
        if inline and file:
            self._problems.error(here, f"{name} is given as well: say it once", key=True)
        if inline:
            return (inline.reveal() if isinstance(inline, Secret) else str(inline)).encode()
        if not file:
            if needed:
                self._problems.error(here[:1], f"missing one of {name} or {name}_file")
            return b""
        self._files.append(self._path.parent / file)
        try:
            return read_file(self._path.parent / file)
        except Unreadable as error:
            self._problems.error(here, f"{file}: {error}")
            return b""

    def _check_client_auth(self, spec: _Tls, client_ca: bytes) -> None:
        here: Path = ("tls_server_config", "client_auth_type")
        kind = spec.client_auth_type or "NoClientCert"
        if kind in _AUTH_TYPES:
            self._problems.error(here, f"{kind} {_AUTH_TYPES[kind]}")
        elif kind not in _MODES:
            self._problems.error(here, f"{go_quote(kind)} is none: write {', '.join(_MODES)}")
        elif kind == "NoClientCert" and (spec.client_ca or spec.client_ca_file):
            message = "client_ca is given, and nobody asked for a certificate: set it to RequireAndVerifyClientCert"
            self._problems.error(here, message)
        elif kind != "NoClientCert" and not client_ca:
            message = f"{kind} needs client_ca_file: whose certificates are let in"
            self._problems.error(here, message)
        if spec.client_allowed_sans is not None and kind != "RequireAndVerifyClientCert":
            message = "needs client_auth_type: RequireAndVerifyClientCert, or who shows no certificate would come in"
            self._problems.error(("tls_server_config", "client_allowed_sans"), message, key=True)

    def _context(self, spec: _Tls, cert: bytes, key: bytes, client_ca: bytes) -> ssl.SSLContext | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = _VERSIONS[spec.min_version], _VERSIONS[spec.max_version]
        if context.minimum_version > context.maximum_version:
            self._problems.error(("tls_server_config", "min_version"), "is newer than max_version")
        if not spec.prefer_server_cipher_suites:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        self._set_ciphers(context, spec.cipher_suites)
        self._set_curve(context, spec.curve_preferences)
        self._load(context, cert, key)
        context.verify_mode = _MODES[spec.client_auth_type or "NoClientCert"]
        if client_ca:
            try:
                context.load_verify_locations(cadata=client_ca.decode("ascii", "replace"))
            except ssl.SSLError:
                message = "holds no certificate (PEM, as openssl writes it)"
                self._problems.error(
                    ("tls_server_config", "client_ca_file" if spec.client_ca_file else "client_ca"), message
                )
        return context

    def _load(self, context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
        here: Path = ("tls_server_config", "cert_file")
        try:
            # Only files are taken, so these are files in memory: a key that was given here never touches a disk.
            with _in_memory(cert) as certificates, _in_memory(key) as private:
                context.load_cert_chain(certificates, private, password=_no_password)
        except ssl.SSLError as error:
            reason = "they do not belong together" if "MISMATCH" in str(error.reason) else "one of them is not PEM"
            self._problems.error(here, f"certificate and key cannot be used: {reason}")
        except _Locked:
            self._problems.error(here, "the key is encrypted: store it without a password, readable by the relay alone")

    def _set_ciphers(self, context: ssl.SSLContext, names: list[str]) -> None:
        here: Path = ("tls_server_config", "cipher_suites")
        for index, name in enumerate(names):
            if name not in _CIPHERS and name not in _CIPHERS_13:
                self._problems.error((*here, index), f"unknown cipher: {go_quote(name)}")
        chosen = [_CIPHERS[name] for name in names if name in _CIPHERS]
        if not chosen:
            if names and context.minimum_version is ssl.TLSVersion.TLSv1_2:
                message = "names suites of TLS 1.3 only, which are always on: min_version: TLS13 says what is meant"
                self._problems.warn(here, message)
            return
        try:
            context.set_ciphers(":".join(chosen))
        except ssl.SSLError:
            self._problems.error(here, "this machine's OpenSSL has none of them")

    def _set_curve(self, context: ssl.SSLContext, names: list[str]) -> None:
        here: Path = ("tls_server_config", "curve_preferences")
        for index, name in enumerate(names):
            if name not in _CURVES:
                self._problems.error((*here, index), f"unknown curve: {go_quote(name)}; known: {', '.join(_CURVES)}")
        if len(names) == 1 and _CURVES.get(names[0]):
            context.set_ecdh_curve(_CURVES[names[0]])
        elif names:
            self._problems.warn(
                here, "not used: only one of the NIST curves can be chosen here, else OpenSSL's order holds"
            )

    # The rest

    def _check_headers(self, headers: Mapping[str, str]) -> None:
        here: Path = ("http_server_config", "headers")
        for name, value in headers.items():
            if name not in HEADERS:
                message = f"HTTP header {go_quote(name)} can not be configured; those that can: {', '.join(HEADERS)}"
                self._problems.error((*here, name), message, key=True)
            elif HEADERS[name] and value not in HEADERS[name]:
                self._problems.error((*here, name), f"must be one of {', '.join(HEADERS[name])}")
            elif not value.isprintable() or not value.isascii():
                self._problems.error((*here, name), "must be printable ASCII on one line")

    def _check_users(self, users: Mapping[str, Secret]) -> None:
        here: Path = ("basic_auth_users",)
        for name, secret in users.items():
            found = _BCRYPT.fullmatch(secret.reveal())
            cost = int(found[1]) if found else 0
            if ":" in name or not name:
                self._problems.error((*here, name), "a user name is not empty and has no colon", key=True)
            if found is None or not 4 <= cost <= 31:
                self._problems.error((*here, name), "no bcrypt hash: `htpasswd -nBC 10 NAME` makes one")
            elif cost > _DEAREST:
                message = f"cost {cost} takes seconds for each comparison: 10 to {_DEAREST} will do"
                self._problems.warn((*here, name), message)
        if users and not self._file.tls_server_config.model_fields_set:
            self._problems.warn(here, "passwords travel in the clear: set tls_server_config as well", key=True)
        if users and _is_read_by_all(self._path):
            self._problems.warn(here, f"every user of this machine can read them: chmod o-r {self._path}", key=True)

    def _rate(self, spec: _Rate) -> Rate | None:
        if not spec.interval:
            return None
        if not spec.burst:
            message = "with burst: 0 nothing at all would be let in: write how many may come at once"
            self._problems.error(("rate_limit", "burst"), message)
        return Rate(spec.interval, spec.burst)


_TURNS_ON = ("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type")
"""Fields of which one is enough to mean TLS (web/tls_config.go IsEnabled)."""


class _Locked(Exception):
    """The key needs a password."""


def _no_password() -> str:
    raise _Locked


@contextmanager
def _in_memory(text: bytes) -> Iterator[str]:
    """Yield the name of a file that is only in memory, and only while it is looked at."""
    with os.fdopen(os.memfd_create("pem", os.MFD_CLOEXEC), "wb") as file:
        file.write(text)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _is_read_by_all(path: FilePath) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def stamps(files: tuple[FilePath, ...]) -> tuple[tuple[int, int, int], ...]:
    """Say by which these files are seen to change: modification time, size and number; zeros for what is not there."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: FilePath) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def sans(certificate: Mapping[str, object] | None) -> Iterator[str]:
    """List the names a certificate bears, as ssl.SSLSocket.getpeercert gives it: DNS, e-mail, IP and URI."""
    names = (certificate or {}).get("subjectAltName", ())
    for kind, name in names if isinstance(names, tuple) else ():
        if kind in ("DNS", "email", "IP Address", "URI"):
            yield san(str(name))
