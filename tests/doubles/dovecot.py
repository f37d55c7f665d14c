"""A real Dovecot on loopback, unprivileged, with two mailboxes and LMTP to fill them."""

from __future__ import annotations

import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.doubles.certificate import make_certificate
from tests.services import free_port, need

PASSWORD = "secret"
NOBODY = 65534

CONFIG = """
base_dir = {home}/run
state_dir = {home}/state
instance_name = test{imap}
log_path = {home}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
ssl = yes
ssl_cert = <{home}/certificate.pem
ssl_key = <{home}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login {mechanisms}
auth_failure_delay = 0
mail_location = maildir:~/Maildir
mail_home = {home}/mail/%u
mail_max_userip_connections = 50
imap_capability = {capability}
namespace inbox {{
  inbox = yes
  separator = /
  {sent}
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
{oauth}
userdb {{
  driver = passwd-file
  args = username_format=%u {home}/users
}}
service anvil {{
  chroot =
  # https://doc.dovecot.org/2.3/configuration_manual/authentication/auth_penalty/
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@localhost
}}
"""

SENT = """
  mailbox "Gesendete Elemente" {
    auto = create
    special_use = \\Sent
  }
"""

OAUTH = """
passdb {{
  driver = oauth2
  mechanisms = {mechanisms}
  args = {home}/oauth
}}
"""

OAUTH_ARGS = """
introspection_mode = get
introspection_url = {url}
username_attribute = email
active_attribute = active
active_value = true
"""


@dataclass
class Dovecot:
    """Mailboxes alice and bob. Start it as often as you like: the mail stays."""

    home: Path
    imap: int = field(default_factory=free_port)
    imaps: int = field(default_factory=free_port)
    lmtp: int = field(default_factory=free_port)
    special_sent: bool = False
    idle: bool = True
    introspection: str = ""  # URL that tells whether a token is good, with the token appended
    mechanisms: str = "xoauth2"  # for tokens
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._configure()
        self.process = subprocess.Popen(
            [*_unprivileged(), need("dovecot"), "-F", "-c", self._config]
        )
        for port in (self.imap, self.lmtp):
            self._await(port)

    def kill(self) -> None:
        """End all its processes at once, as a crash of the machine does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)  # or it starts another one meanwhile
            pids = _children(self.process.pid)
            for pid in [*pids, self.process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None
            _await_end(pids)

    def renumber(self) -> None:
        """It loses its numbers, and makes new ones under a new UIDVALIDITY."""
        self.kill()
        for path in self.maildir().glob("dovecot*"):
            path.unlink()
        time.sleep(1.1)  # Dovecot takes the second as UIDVALIDITY
        self.start()

    def freeze(self) -> None:
        """The sessions stop without a word; the connections stay, and new ones are served."""
        assert self.process is not None
        for pid in _children(self.process.pid):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "imap":
                os.kill(pid, signal.SIGSTOP)

    def maildir(self, user: str = "alice") -> Path:
        return self.home / "mail" / user / "Maildir"

    def deliver(self, raw: bytes, user: str = "alice") -> None:
        with smtplib.LMTP("127.0.0.1", self.lmtp) as client:
            client.sendmail("sender@example.org", [user], raw)

    def fill(self, mails: list[bytes], user: str = "alice") -> None:
        """Many mails at once, as files; only before anybody signs in."""
        for folder in ("tmp", "new", "cur"):
            (self.maildir(user) / folder).mkdir(parents=True, exist_ok=True)
        for number, raw in enumerate(mails):
            (self.maildir(user) / "new" / f"{1_700_000_000 + number}.M0P1.test").write_bytes(raw)
        self.own()

    def own(self) -> None:
        """Hand files that the test wrote to the user that Dovecot runs as."""
        if os.geteuid() == 0:
            for path in [self.home, *self.home.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    @property
    def _config(self) -> str:
        return str(self.home / "dovecot.conf")

    def _configure(self) -> None:
        for folder in ("run", "state", "mail"):
            (self.home / folder).mkdir(exist_ok=True)
        make_certificate(self.home / "certificate.pem", self.home / "key.pem")
        root = os.geteuid() == 0
        user, group = ("nobody", "nogroup") if root else (_id("-un"), _id("-gn"))
        uid, gid = (NOBODY, NOBODY) if root else (os.getuid(), os.getgid())
        line = "{name}:{{PLAIN}}{password}:{uid}:{gid}::{home}/mail/{name}::\n"
        (self.home / "users").write_text(
            "".join(
                line.format(name=name, password=PASSWORD, uid=uid, gid=gid, home=self.home)
                for name in ("alice", "bob")
            )
        )
        (self.home / "oauth").write_text(OAUTH_ARGS.format(url=self.introspection))
        Path(self._config).write_text(
            CONFIG.format(
                home=self.home,
                user=user,
                group=group,
                imap=self.imap,
                imaps=self.imaps,
                lmtp=self.lmtp,
                sent=SENT if self.special_sent else "",
                mechanisms=self.mechanisms if self.introspection else "",
                oauth=OAUTH.format(home=self.home, mechanisms=self.mechanisms)
                if self.introspection
                else "",
                capability="" if self.idle else "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS",
            )
        )
        self.own()

    def _await(self, port: int) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as probe:
                    if probe.recv(1):
                        return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError((self.home / "dovecot.log").read_text())


@contextmanager
def dovecot(
    special_sent: bool = False,
    idle: bool = True,
    introspection: str = "",
    mechanisms: str = "xoauth2",
) -> Iterator[Dovecot]:
    need("dovecot")
    home = Path(tempfile.mkdtemp(prefix="dc", dir="/tmp"))  # socket paths must stay short
    home.chmod(0o755)
    server = Dovecot(
        home,
        special_sent=special_sent,
        idle=idle,
        introspection=introspection,
        mechanisms=mechanisms,
    )
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(home, ignore_errors=True)


def _unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    return [need("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def _id(flag: str) -> str:
    return subprocess.check_output(["id", flag], text=True).strip()


def _await_end(pids: list[int]) -> None:
    """What still ends holds on to its sockets."""
    for _ in range(200):
        if not any(_is_alive(pid) for pid in pids):
            return
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "--no-headers", "-o", "pid", "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(word) for word in listed.stdout.split()]
