import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from olympus.runtime.security.authority import client_tls


def test_public_authorities_are_checked_as_strictly_as_this_python_does() -> None:
    context = client_tls()
    assert context.verify_flags == ssl.create_default_context().verify_flags
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        client_tls(tmp_path / "none.pem")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("is_ours", [True, False])
def test_a_home_made_authority_is_trusted_where_it_is_named(tmp_path: Path, is_ours: bool) -> None:
    """`openssl req -x509` says no key usage, which Python 3.13 would refuse by itself."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for words in (
        f"req -x509 {key} -days 2 -subj /CN=ours -keyout ours.key -out ours.pem",
        f"req -x509 {key} -days 2 -subj /CN=other -keyout other.key -out other.pem",
        f"req {key} -subj /CN=robot -addext subjectAltName=DNS:robot -keyout robot.key"
        " -out robot.csr",
        "x509 -req -in robot.csr -copy_extensions copy -CA ours.pem -CAkey ours.key -days 2"
        " -out robot.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "robot.pem", tmp_path / "robot.key")
    client = client_tls(tmp_path / ("ours.pem" if is_ours else "other.pem"))
    if is_ours:
        shake_hands(client, server, "robot")
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            shake_hands(client, server, "elsewhere")
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            shake_hands(client, server, "robot")


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """Let both sides talk in memory until the client has seen whom it talks to."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(back, there, server_hostname=name)
    far = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        try:
            near.do_handshake()
            return
        except ssl.SSLWantReadError:
            pass
        try:
            far.do_handshake()
        except ssl.SSLWantReadError:
            continue
    pytest.fail("the handshake does not end")
