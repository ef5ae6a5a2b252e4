"""The Debian package: built from the checkout, installed on a fresh Debian, used, and purged.

What is typed here is what README.Debian says; nothing of the package is adapted.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import poplib
import re
import shutil
import smtplib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.service.shipped_servers import kept

from .daemons.process import Process, wait_for
from .debian import Debian
from .mtas import CLIENT, REMOTE, SERVER, STRANGER, Sink
from .mtas.namespace import Namespace
from .mtas.postfix import BASE
from .packages import CHECKOUT, install
from .roots import ACCOUNTS, end_processes
from .scenario import BOB

MAP = "/var/lib/pbs-filter/map.gdbm"
DAEMONS = ("rsyslog", "postfix", "popa3d")
REFUSED = f"554 5.7.1 <{REMOTE}>: Relay access denied"


def build(directory: Path) -> Path:
    """The package, built by the shipped script."""
    directory.mkdir()
    done = subprocess.run(
        [CHECKOUT / "examples/debian/build", directory],
        # Without it the time of the last commit is taken, and somebody may commit meanwhile.
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "" == done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("package") / "first")


def typed(*beginning: str) -> list[list[str]]:
    """The commands of README.Debian that begin so."""
    text = (CHECKOUT / "examples/debian/README.Debian").read_text()
    lines = [line.split() for line in re.findall(r"(?m)^ {4,}(\S.*)$", text)]
    found = [line for line in lines if line[: len(beginning)] == list(beginning)]
    assert found, f"README.Debian says nothing of {beginning}"
    return found


# ------------------------------------------------------------------ the file


def test_the_same_checkout_gives_the_same_package(package: Path, tmp_path: Path) -> None:
    version = r"\d+\.\d+\.\d+(~git\d{14}\.[0-9a-f]{7}(\+local)?)?"
    assert re.fullmatch(rf"pbs-filter_{version}_all\.deb", package.name)
    assert package.read_bytes() == build(tmp_path / "second").read_bytes()


def test_the_rules_that_were_kept_fit_the_modules_beside_them(
    package: Path, tmp_path: Path
) -> None:
    """The RPM has its files from the same script."""
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    assert kept(f"{tmp_path}/usr/lib/python3/dist-packages/pbs_filter") is not None


def lintian(path: Path) -> tuple[int, str]:
    """The exit status and the words of lintian about a package or its .changes."""
    install("lintian")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", path],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_lintian_finds_no_error_and_no_warning(package: Path) -> None:
    assert (0, "") == lintian(package)


def test_each_commit_has_a_version_of_its_own_older_than_the_release(tmp_path: Path) -> None:
    def git(*words: str, at: int = 0) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(tmp_path), *identity, *words]
        environment = {**os.environ, "GIT_COMMITTER_DATE": f"@{at} +0000"} if at else None
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        ).stdout

    def version(place: Path = tmp_path) -> str:
        script = place / "examples/debian/version"
        return subprocess.run(
            [script], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def archived(name: str) -> str:
        """The version of a tar ball of the last commit."""
        place = tmp_path / name
        place.mkdir()
        subprocess.run(f"git archive HEAD | tar -x -C {name}", shell=True, check=True, cwd=tmp_path)
        return version(place)

    for name in (
        *(".gitattributes", "pyproject.toml", "pbs_filter/__init__.py"),
        *("examples/debian/version", "examples/debian/control"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    (release,) = re.findall(r'(?m)^version = "(.*)"$', (tmp_path / "pyproject.toml").read_text())
    copy = version()
    assert re.fullmatch(re.escape(release) + r"~git\d{14}\.copy", copy)
    # The program has run there since.
    compiled = tmp_path / "pbs_filter/__pycache__/cli.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.touch()
    os.utime(compiled, (2e9, 2e9))
    assert copy == version()
    compiled.unlink()
    now = int(time.time()) + 1
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first", at=now)
    first = version()
    assert first == archived("a")
    git("commit", "-qm", "second", "--allow-empty", at=now + 1)
    second = version()
    assert second == archived("b")
    git("tag", f"v{release}")
    assert release == version()
    assert release == archived("c")
    for older, newer in itertools.pairwise((copy, first, second, release)):
        subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)
    (tmp_path / "pyproject.toml").write_text(f'version = "{release}"\n')
    git("commit", "-qam", "third")
    (tmp_path / "pyproject.toml").write_text(f'version = "{release}"\n\n')
    assert version().endswith("+local")


def test_the_source_package_builds_with_debhelper_and_lintian_is_content(tmp_path: Path) -> None:
    install("debhelper", "dpkg-dev")
    make = [CHECKOUT / "examples/debian/source-package", tmp_path]
    said = subprocess.run(make, check=True, stdout=subprocess.PIPE, text=True).stdout
    done = subprocess.run(
        ["dpkg-buildpackage", "-us", "-uc"],
        cwd=said.strip(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout[-3000:]
    (changes,) = tmp_path.glob("*.changes")
    (binary,) = tmp_path.glob("*.deb")
    assert (0, "") == lintian(changes)
    with contextlib.closing(Debian(*DAEMONS)) as debian:
        shutil.copy(binary, debian.path / "root")
        debian.apt_get("install", f"/root/{binary.name}")
        assert "pbs-filter" == debian.run("id", "-gn", "pbs-lookup").strip()
        script = debian.path / "root/login"
        shutil.copy(CHECKOUT / "examples/debian/tests/login", script)
        assert "192.0.2.7 may relay" in debian.run("/root/login")


def unpacked(package: Path) -> Path:
    root = package.parent / "unpacked"
    subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root


def test_each_link_of_its_documents_leads_to_a_file_of_it(package: Path) -> None:
    root = unpacked(package)
    for document in root.rglob("*.md"):
        for link in re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", document.read_text()):
            place = document.resolve().parent
            assert (place / link).exists(), f"{document.relative_to(root)}: {link}"


def test_no_path_of_another_installation_is_left_in_it(package: Path) -> None:
    root = unpacked(package)
    for path in (*root.glob("usr/share/pbs-filter/**/*"), *root.glob("etc/**/*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and path.name
            not in (
                "README.md",
                "QUESTIONS.md",  # they speak of every way to install
            )
        ):
            assert "/opt/" not in path.read_text().replace("/opt/zimbra/", ""), path
    drop_in = (root / "usr/share/pbs-filter/rsyslog/pbs-filter.conf").read_text()
    assert "/usr/bin/pbs-filter" in drop_in


# ------------------------------------------------------------------ on a machine


class Machine(contextlib.ExitStack):
    """A fresh Debian with daemons, in a network of its own."""

    def __init__(self, directory: Path, *names: str, suite: str) -> None:
        super().__init__()
        self.directory = directory
        self.debian = self.enter_context(contextlib.closing(Debian(*names, suite=suite)))
        self.network = self.enter_context(contextlib.closing(Namespace([CLIENT, STRANGER, SERVER])))

    def install(self, package: Path) -> None:
        shutil.copy(package, self.debian.path / "root")
        self.debian.apt_get("install", f"/root/{package.name}")
        (self.debian.path / "root" / package.name).unlink()

    def daemon(self, *argv: str, forks: bool = False) -> Process:
        name = Path(argv[0]).name
        return Process(
            name,
            [*self.network.command(), *self.debian.command(*argv)],
            output=self.directory / f"{name}.out",
            ready=lambda: True,
            forks=forks,
        )

    def doctor(self) -> list[str]:
        """What `pbs-filter --doctor` finds, without what is well."""
        command = self.debian.command("pbs-filter", "--doctor")
        done = subprocess.run(
            [*self.network.command(), *command], stdout=subprocess.PIPE, text=True, check=False
        )
        return [line for line in done.stdout.splitlines() if not line.startswith("ok ")]

    def log_in(self, source: str, password: str) -> bool:
        """By POP3, as bob."""

        def connect() -> poplib.POP3:
            with contextlib.suppress(ConnectionRefusedError):
                return self.network.inside(lambda: _Pop3(source))
            return None  # type: ignore[return-value]

        client = wait_for(connect, "popa3d")
        client.user(BOB.name)
        try:
            client.pass_(password)
        except poplib.error_proto:
            client.close()
            return False
        client.quit()
        return True

    def send(self, source: str) -> str:
        """Send a message to somebody elsewhere: what Postfix says to its recipient."""
        with self.network.inside(
            lambda: smtplib.SMTP(SERVER, 25, source_address=(source, 0), timeout=300)
        ) as smtp:
            smtp.ehlo("scanner.example")
            smtp.mail("bob@example.org")
            code, text = smtp.rcpt(REMOTE)
            if code == 250:
                assert smtp.data(b"Subject: a scan\r\n\r\nfrom " + source.encode())[0] == 250
            return f"{code} {text.decode()}"


class _Pop3(poplib.POP3):
    def __init__(self, source: str) -> None:
        self._source = source
        super().__init__(SERVER, 110, timeout=300)

    def _create_socket(self, timeout: float) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout, (self._source, 0))


@pytest.fixture
def bookworm(tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path, *DAEMONS, suite="bookworm") as machine:
        yield machine


def prepare_mail(debian: Debian) -> None:
    """What a mail server has before pbs-filter comes: an account, and Postfix's configuration."""
    (bob,) = (account for account in ACCOUNTS if account.name == BOB.name)
    debian.run("useradd", "--create-home", "--password", bob.crypted, bob.name)
    (debian.path / "var/mail/bob").touch()
    debian.run("chown", "bob:mail", "/var/mail/bob")
    (debian.path / "etc/postfix/main.cf").write_text(BASE)


def test_install_switch_on_log_in_relay_purge(bookworm: Machine, package: Path) -> None:
    debian = bookworm.debian
    prepare_mail(debian)
    bookworm.install(package)
    debian.run("apt-get", "-q", "-y", "purge", "pbs-filter")
    before = debian.tree()
    assert not [path for path in before if "pbs" in path]

    bookworm.install(package)
    assert (
        "drwxr-x--- pbs-filter pbs-filter"
        == debian.run("stat", "-c", "%A %U %G", "/var/lib/pbs-filter").strip()
    )
    assert "pbs-filter" == debian.run("id", "-gn", "pbs-lookup").strip()
    # Installed, not switched on.
    assert [] == list((debian.path / "etc/rsyslog.d").glob("*pbs*"))
    assert [] == list((debian.path / "etc/systemd/system").rglob("pbs*"))
    compiled = debian.path / "usr/lib/python3/dist-packages/pbs_filter/__pycache__"
    assert list(compiled.glob("cli.*.pyc"))
    assert debian.run("pbs-filter", "--check").endswith("configuration: ok\n")

    typed("pbs-filter", "--setup", "--apply")
    debian.run("pbs-filter", "--setup", "rsyslog", "postfix", "--apply")
    # There was no log yet, by which --setup could have named the server: its account counts then.
    named = debian.path / "etc/pbs-filter.d/90-local.toml"
    named.write_text('servers = ["popa3d"]\n')

    with contextlib.ExitStack() as running:
        running.enter_context(Sink(bookworm.network))
        rsyslogd = running.enter_context(bookworm.daemon("/usr/sbin/rsyslogd", "-n"))
        wait_for((debian.path / "dev/log").exists, "the log socket")
        running.enter_context(bookworm.daemon("/usr/sbin/popa3d", "-D", forks=True))
        running.enter_context(bookworm.daemon("/usr/sbin/postfix", "start-fg"))
        # The first line of a POP server, here a refused login, starts the filter.
        assert not bookworm.log_in(STRANGER, "wrong")
        wait_for((debian.path / MAP[1:]).exists, "the filter's map")
        wait_for(lambda: _sends(bookworm, CLIENT) == REFUSED, "the answer no")
        assert bookworm.log_in(CLIENT, BOB.password)
        wait_for(lambda: bookworm.send(CLIENT).startswith("250"), "the relay to be open")
        assert REFUSED == bookworm.send(STRANGER)

        assert ["", "all is well"] == bookworm.doctor()
        listed = debian.run("pbs-filter", "--list").splitlines()
        assert [CLIENT] == [line.split()[0] for line in listed[1:]]
        assert "popa3d" in listed[1]
        assert (
            "-rw-r----- pbs-filter pbs-filter" == debian.run("stat", "-c", "%A %U %G", MAP).strip()
        )
        as_lookup = ("runuser", "-u", "pbs-lookup", "--", "pbs-lookup", "check", "--verbose")
        assert f"{CLIENT} may relay\n" == debian.run(*as_lookup, CLIENT)
        assert f"{STRANGER} may not relay\n" == debian.run(*as_lookup, STRANGER, status=1)
        debian.run("runuser", "-u", "nobody", "--", "pbs-lookup", "check", CLIENT, status=75)
        rsyslogd.stop()
    end_processes(debian.path)

    named.unlink()
    debian.run("apt-get", "-q", "-y", "purge", "pbs-filter")
    after = debian.tree()
    made_by_daemons = re.compile(r"/var/(log|spool|lib/(postfix|logrotate))\b")
    changed = {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path) and not made_by_daemons.match(path)
    }
    assert {} == changed
    # Postfix's own are from the lines in its master.cf.
    assert not [p for p in after if "pbs" in p and not p.startswith("/var/spool/postfix/")]
    accounts = [(debian.path / f"etc/{name}").read_text() for name in ("passwd", "group")]
    assert "pbs" not in "".join(accounts)


def _sends(machine: Machine, source: str) -> str:
    try:
        return machine.send(source)
    except ConnectionRefusedError:
        return "Postfix is not there yet"


def test_debian_13_behind_each_daemon(package: Path, tmp_path: Path) -> None:
    """Its Python, pyparsing and netaddr, its adduser and dpkg, its rsyslog and syslog-ng."""
    (line,) = re.findall(
        r"(?m)^    logger .*? '(.*)'$", (CHECKOUT / "rsyslog/README.md").read_text()
    )
    as_lookup = ("runuser", "-u", "pbs-lookup", "--", "pbs-lookup", "check", "192.0.2.7")
    with Machine(tmp_path, "rsyslog", suite="trixie") as machine:
        debian = machine.debian
        machine.install(package)
        assert debian.run("pbs-filter", "--check").endswith("configuration: ok\n")
        for link, *daemon in (
            ("/usr/share/pbs-filter/rsyslog/pbs-filter.conf", "/usr/sbin/rsyslogd", "-n"),
            ("/usr/share/pbs-filter/syslog-ng/log-path.conf", "/usr/sbin/syslog-ng", "-F"),
        ):
            if "syslog-ng" in link:
                debian.apt_get("install", "syslog-ng-core")
            debian.run(*typed("ln", "-s", link)[0])
            with machine.daemon(*daemon):
                wait_for((debian.path / "dev/log").exists, "the log socket")
                debian.run("logger", "-p", "mail.info", "-t", "dovecot", line)
                wait_for(lambda: _status(debian, *as_lookup) == 0, "the login in the map")
            end_processes(debian.path)
            (debian.path / "dev/log").unlink(missing_ok=True)
            debian.run("pbs-filter", "--forget", "192.0.2.7")
            assert 1 == _status(debian, *as_lookup)
        debian.run("apt-get", "-q", "-y", "purge", "pbs-filter")
        assert not [path for path in debian.tree() if "pbs" in path]


def _status(debian: Debian, *argv: str) -> int:
    return subprocess.run(debian.command(*argv), stderr=subprocess.DEVNULL).returncode
