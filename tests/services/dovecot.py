"""A real Dovecot: its own folder, its own ports, one user whose password is known."""

import contextlib
import grp
import os
import pwd
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from imapclient import IMAPClient

from infra.emulators import HOST, NotReady, Process, free_port

USER, PASSWORD = "ada@example.org", "correct-horse"

_DOVECOTS = ("dovenull", "dovecot")
"""Whom its parts run as where root starts it, which its package makes."""

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
default_login_user = {login}
default_internal_user = {internal}
default_internal_group = {group}
first_valid_uid = 1
mail_uid = {uid}
mail_gid = {gid}
mail_location = maildir:{folder}/mail
mail_privileged_group =
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """port: without encryption until STARTTLS. tls_port: with it. certificate: PEM, which signs
    itself."""

    def __init__(self, folder: Path, certificate: Path, key: Path) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.folder = folder
        self.certificate = certificate
        user = pwd.getpwuid(os.getuid())
        as_root = user.pw_uid == 0
        folder.chmod(0o755)
        # It never gives root mail.
        keeper = pwd.getpwnam("nobody") if as_root else user
        for name in ("home", "mail"):
            (folder / name).mkdir()
            os.chown(folder / name, keeper.pw_uid, keeper.pw_gid)
        config = folder / "dovecot.conf"
        config.write_text(
            _CONFIG.format(
                folder=folder,
                login=_DOVECOTS[0] if as_root else user.pw_name,
                internal=_DOVECOTS[1] if as_root else user.pw_name,
                group=_DOVECOTS[1] if as_root else grp.getgrgid(user.pw_gid).gr_name,
                uid=keeper.pw_uid,
                gid=keeper.pw_gid,
                certificate=certificate,
                key=key,
                password=PASSWORD,
                port=self.port,
                tls_port=self.tls_port,
            )
        )
        command = [_program(), "-F", "-c", str(config)]
        self._process = Process(command, log=folder / "dovecot.log")

    def start(self) -> None:
        self._process.start()
        deadline = time.monotonic() + 30
        while not self._greets():
            if self._process.status is not None or time.monotonic() > deadline:
                raise NotReady(f"dovecot does not answer\n{self._process}")
            time.sleep(0.05)

    def end(self) -> None:
        self._process.end()

    def client(self) -> IMAPClient:
        """Signed in, to put mails there and to take them away."""
        client = IMAPClient(HOST, self.port, ssl=False)
        client.login(USER, PASSWORD)
        return client

    def _greets(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=5) as connection:
                return connection.recv(4) == b"* OK"
        except OSError:
            return False


def _program() -> str:
    found = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip("dovecot is missing; get it with: make system-deps")
    return found


@contextlib.contextmanager
def running() -> Iterator[Dovecot]:
    """One that is started, and ended with all it keeps."""
    # Its sockets have short names only, shorter than the folders of tests.
    with tempfile.TemporaryDirectory(prefix="dovecot-", ignore_cleanup_errors=True) as name:
        server = Dovecot(Path(name), *certificate(Path(name)))
        try:
            server.start()
            yield server
        finally:
            server.end()


def certificate(folder: Path) -> tuple[Path, Path]:
    """One for `localhost` that signs itself, and its key, as files."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
