"""The file of --web.config.file: exporter-toolkit's format, with every fault at its line."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from relay.config.web import HEADERS, WebConfig, read_web
from relay.errors import BadConfig
from tests.certificates import Authority

HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
TLS = "tls_server_config:\n  cert_file: relay.pem\n  key_file: relay.key\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tls")
    Authority(found).sign("relay", "IP:127.0.0.1")
    Authority(found, "other").sign("stranger")
    return found


def read(folder: Path, text: str) -> WebConfig:
    (folder / "web.yml").write_text(text)
    (folder / "web.yml").chmod(0o600)
    return read_web(folder / "web.yml")[0]


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        read(folder, text)
    return [str(problem).removeprefix(f"{folder}/web.yml:") for problem in caught.value.problems]


def warnings(folder: Path, text: str) -> list[str]:
    (folder / "web.yml").write_text(text)
    return [problem.message for problem in read_web(folder / "web.yml")[1]]


@pytest.mark.parametrize("text", ["", "# nothing\n", "tls_server_config:\nbasic_auth_users: {}\n"])
def test_an_empty_file_asks_nobody(folder: Path, text: str) -> None:
    found = read(folder, text)

    assert (found.tls, dict(found.users), dict(found.headers), found.rate) == (None, {}, {}, None)


def test_everything_that_can_be_said_is_read(folder: Path) -> None:
    found = read(
        folder,
        f"""{TLS}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
  client_allowed_sans: [am.test, '2001:DB8::0001']
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  curve_preferences: [CurveP256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: false
  headers: {{X-Frame-Options: sameorigin}}
basic_auth_users: {{anna: {HASH}}}
rate_limit: {{interval: 1.5s, burst: 20}}
""",
    )

    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert (found.tls.minimum_version, found.tls.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    old = [cipher["name"] for cipher in found.tls.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert old == ["ECDHE-ECDSA-AES128-GCM-SHA256"]
    assert not found.tls.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert found.client_certificates
    assert found.allowed_sans == frozenset({"am.test", "2001:db8::1"})
    assert {name: secret.reveal() for name, secret in found.users.items()} == {"anna": HASH}
    assert "anna" not in repr(found.users.values())
    assert found.headers == {"X-Frame-Options": "sameorigin"}
    assert found.rate is not None
    assert (found.rate.interval, found.rate.burst) == (1_500_000, 20)
    assert [file.name for file in found.files] == ["web.yml", "relay.pem", "relay.key", "authority.pem"]


def test_certificate_and_key_may_stand_in_the_file_itself(folder: Path) -> None:
    inline = "".join(
        f"  {name}: |\n" + "".join(f"    {line}\n" for line in (folder / file).read_text().splitlines())
        for name, file in (("cert", "relay.pem"), ("key", "relay.key"), ("client_ca", "authority.pem"))
    )

    found = read(folder, f"tls_server_config:\n{inline}  client_auth_type: VerifyClientCertIfGiven\n")

    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_OPTIONAL
    assert not found.client_certificates


FAULTS = {
    "a slip of the pen": ("tls_server_confg: {}", '1:1: tls_server_confg: unknown field "tls_server_confg"; did you'),
    "a field of nobody": (TLS + "  cerl: x", '4:3: tls_server_config.cerl: unknown field "cerl"; did you mean "cert"?'),
    "a key twice": ("rate_limit: {burst: 1, burst: 2}", '1:24: key "burst" is already set in line 1'),
    "no mapping": ("- 1", "1:1: must be a mapping"),
    "not YAML": ("a: [", "1:5: not YAML"),
    "not UTF-8": ("a: \udcff", "1:4: not UTF-8"),
    "no key": ("tls_server_config:\n  cert_file: relay.pem", "2:3: tls_server_config: missing one of key or key_file"),
    "no certificate": ("tls_server_config: {key_file: relay.key}", "missing one of cert or cert_file"),
    "both": (TLS + "  cert: x", "2:3: tls_server_config.cert_file: cert is given as well: say it once"),
    "only a version": ("tls_server_config: {min_version: TLS13}", "without them TLS is not spoken at all"),
    "no such file": (TLS.replace("relay.pem", "gone.pem"), "2:14: tls_server_config.cert_file: gone.pem: cannot read"),
    "a stranger's key": (
        TLS.replace("relay.key", "stranger.key"),
        "2:14: tls_server_config.cert_file: certificate and",
    ),
    "no PEM": (TLS.replace("relay.key", "web.yml"), "one of them is not PEM"),
    "no authority": (
        TLS + "  client_auth_type: RequireAndVerifyClientCert",
        "needs client_ca_file: whose certificates",
    ),
    "no policy": (TLS + "  client_ca_file: authority.pem", "client_ca is given, and nobody asked for a certificate"),
    "an authority that is none": (
        TLS + "  client_ca_file: relay.key\n  client_auth_type: VerifyClientCertIfGiven",
        "4:19: tls_server_config.client_ca_file: holds no certificate",
    ),
    "names without certificates": (
        TLS + "  client_allowed_sans: [a]",
        "needs client_auth_type: RequireAndVerifyClient",
    ),
    "an old version": (TLS + "  min_version: TLS10", "4:16: tls_server_config.min_version: must be one of 'TLS12' or"),
    "versions crossed": (TLS + "  min_version: TLS13\n  max_version: TLS12", "is newer than max_version"),
    "a cipher of nobody": (
        TLS + "  cipher_suites: [RC4]",
        '4:19: tls_server_config.cipher_suites[0]: unknown cipher: "R',
    ),
    "a curve of nobody": (TLS + "  curve_preferences: [P1]", 'unknown curve: "P1"; known: CurveP256'),
    "a header of nobody": (
        "http_server_config: {headers: {X-Me: a}}",
        'HTTP header "X-Me" can not be configured; those',
    ),
    "a header's value": ("http_server_config: {headers: {X-Frame-Options: no}}", "must be one of deny, sameorigin"),
    "a header of two lines": (
        'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nSet-Cookie: b"}}',
        "must be printable ASCII on one line",
    ),
    "a password in the clear": (
        "basic_auth_users:\n  anna: hunter2",
        "2:9: basic_auth_users.anna: no bcrypt hash: `htp",
    ),
    "a cost of none": (f"basic_auth_users: {{anna: {HASH.replace('10', '99', 1)}}}", "no bcrypt hash"),
    "a name with a colon": (f"basic_auth_users: {{'a:b': {HASH}}}", "has no colon"),
    "a rate for nobody": ("rate_limit: {interval: 1s}", "with burst: 0 nothing at all would be let in"),
    "no time": ("rate_limit: {interval: soon, burst: 1}", "not a valid duration string"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_wrong_is_said_with_its_place_and_a_remedy(folder: Path, what: str) -> None:
    text, words = FAULTS[what]
    (folder / "web.yml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadConfig) as caught:
        read_web(folder / "web.yml")

    said = [str(problem).removeprefix(f"{folder}/web.yml:") for problem in caught.value.problems]
    assert any(words in one for one in said), said
    assert not any("hunter2" in one for one in said)


@pytest.mark.parametrize("kind", ["RequestClientCert", "RequireAnyClientCert"])
def test_kinds_that_check_nobody_are_refused_with_the_reason(folder: Path, kind: str) -> None:
    (fault,) = faults(folder, f"{TLS}  client_auth_type: {kind}\n  client_ca_file: authority.pem\n")

    assert f"{kind} would let any certificate in, since nobody checks it" in fault


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"web\.yml:1:1: cannot read the file: No such file"):
        read_web(tmp_path / "web.yml")


def test_what_is_odd_is_only_warned_of(folder: Path) -> None:
    said = warnings(folder, f"{TLS}http_server_config: {{http2: true}}\n")
    assert said == ["HTTP/2 is not spoken: HTTP/1.1 is, take it out"]

    assert warnings(folder, f"{TLS}  curve_preferences: [X25519, CurveP256]\n")[0].startswith("not used: only one")
    assert warnings(folder, f"{TLS}  cipher_suites: [TLS_AES_128_GCM_SHA256]\n")[0].startswith(
        "names suites of TLS 1.3"
    )
    clear = warnings(folder, f"basic_auth_users: {{anna: {HASH.replace('10', '16', 1)}}}\n")
    assert any("passwords travel in the clear" in one for one in clear)
    assert any("cost 16 takes seconds" in one for one in clear)


def test_the_example_is_one(folder: Path) -> None:
    text = (Path(__file__).parents[2] / "examples" / "web.yml").read_text()
    found = read(folder, text.replace("/etc/pagerelay/tls/relay.crt", "relay.pem").replace("/etc/pagerelay/tls/", ""))

    assert found.tls is not None
    assert list(found.users) == ["prometheus"]


def test_promtool_takes_what_the_relay_takes(folder: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("!! promtool is not installed: the web configuration is NOT checked by it")
    headers = "".join(f"    {name}: {(values or ('x',))[0]}\n" for name, values in HEADERS.items())
    read(
        folder,
        f"{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: authority.pem\n"
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  curve_preferences: [CurveP256]\n"
        f"http_server_config:\n  headers:\n{headers}basic_auth_users: {{anna: {HASH}}}\n",
    )

    done = subprocess.run([promtool, "check", "web-config", folder / "web.yml"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
