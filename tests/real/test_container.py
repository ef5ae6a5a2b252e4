"""The image of examples/container: built, fed by rsyslog, and asked by Postfix for a relay.

The builder is buildah, which runs the steps and the containers by chroot. Their base is a fresh
Debian 13 in place of the registry's image, which the tests cannot fetch.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .daemons.process import Process, wait_for
from .daemons.rsyslog import Rsyslog
from .debian import pristine
from .mtas import CLIENT, SERVER, STRANGER
from .mtas.postfix import BASE, Postfix
from .packages import CHECKOUT, install

CONTAINER = CHECKOUT / "examples/container"
README = (CONTAINER / "README.md").read_text()
REFUSED = "554 5.7.1 <foo@remote.example>: Relay access denied"
LOGIN = f"imap-login: Login: user=<bob>, method=PLAIN, rip={CLIENT}, lip={SERVER}, mpid=7, TLS"
PORT = 5140


class Image:
    """The built image; `container` starts it."""

    def __init__(self, directory: Path) -> None:
        install("buildah")
        self.directory = directory
        storage = directory / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/graph"\n'
            f'runroot = "{directory}/run"\n'
        )
        self.environment = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(storage),
            "BUILDAH_ISOLATION": "chroot",
        }
        base = re.findall(r"(?m)^FROM (\S+)$", (CONTAINER / "Containerfile").read_text())
        scratch = self.buildah("from", "scratch")
        self.buildah("add", "-q", scratch, str(pristine("trixie", ("rsyslog",))), "/")
        self.buildah("commit", "-q", "--rm", scratch, *base)
        # README's command, with what podman does by itself or has no option for here.
        self.buildah(
            "build", "-q", "--pull-never", "--layers=false",
            f"--ignorefile={CONTAINER}/Containerfile.dockerignore",
            "-t", "pbs-filter", "-f", "examples/container/Containerfile", ".",
        )  # fmt: skip

    def buildah(self, *words: str) -> str:
        done = subprocess.run(
            ["buildah", *words], cwd=CHECKOUT, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert 0 == done.returncode, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def container(self, *words: str, volumes: Sequence[str], within: Sequence[str] = ()) -> Process:
        """The image run with `words`, its processes among themselves."""
        name = self.buildah("from", "--pull-never", "localhost/pbs-filter")
        made = json.loads(self.buildah("inspect", name))["OCIv1"]["config"]
        # `buildah run` may lay a directory of its own over ours, as podman and Docker do not.
        for place in made["Volumes"]:
            self.buildah("config", "--volume", f"{place}-", name)
        mounts = [word for volume in volumes for word in ("-v", volume)]
        return Process(
            words[0],
            [
                *within,
                *("unshare", "--pid", "--fork", "--kill-child"),
                *("buildah", "run", *mounts, name, "--", *made["Entrypoint"], *words),
            ],
            output=self.directory / f"{name}.out",
            ready=lambda: True,
            environment=self.environment,
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(tmp_path_factory.mktemp("image"))


def indented(beginning: str) -> str:
    """The lines of the README that begin so, with those that go on."""
    (found,) = re.findall(rf"(?m)^    ({re.escape(beginning)}.*\n(?:     +.*\n)*)", README)
    return found


class PostfixBeside(Postfix):
    """Set up as the README says for docker-mailserver."""

    def configure(self) -> Sequence[Process]:
        processes = super().configure()
        (setting,) = re.findall(r"^postconf -e '(.*)'$", indented("postconf -e").strip())
        self.root.write("/etc/postfix/main.cf", f"{BASE}{setting}\n")
        shipped = (self.root.path / "usr/share/postfix/master.cf.dist").read_text()
        own, count = re.subn(r"(?m)^(smtp +inet +n +- +)y ", r"\1n ", shipped)
        assert 1 == count
        self.root.write("/etc/postfix/master.cf", own)
        self.root.directory("/run/pbs-lookup")
        return processes


@pytest.fixture
def postfix(tmp_path: Path) -> Iterator[PostfixBeside]:
    with PostfixBeside(tmp_path) as mta:
        yield mta


def test_a_login_relays_by_way_of_both_containers(
    image: Image, postfix: PostfixBeside, tmp_path: Path
) -> None:
    (data := tmp_path / "data").mkdir(mode=0o750)
    os.chown(data, 900, 900)  # as an engine makes a volume: with the image's own owner and mode
    sockets = postfix.root.path / "run/pbs-lookup"
    network = postfix.network.command()
    filter_container = image.container(
        "filter", volumes=[f"{data}:/var/lib/pbs-filter"], within=network
    )
    lookup_container = image.container(
        "lookup", volumes=[f"{data}:/var/lib/pbs-filter:ro", f"{sockets}:/run/pbs-lookup"]
    )
    sending = indented("*.* action").replace('"pbs-filter"', f'"{SERVER}"')
    assert SERVER in sending
    with filter_container, lookup_container:
        wait_for((sockets / "socketmap").exists, "the lookups' socket")
        wait_for(lambda: _listens(postfix.network.pid), "the filter's port")
        wait_for((data / "map.gdbm").exists, "the filter's map")
        assert REFUSED == postfix.rcpt(CLIENT)
        with _sender(tmp_path / "sender", sending, network) as sender:
            sender.send(LOGIN, tag="dovecot")
            wait_for(lambda: postfix.rcpt(CLIENT).startswith("250"), "the relay to be open")
            assert REFUSED == postfix.rcpt(STRANGER)
        # The end of a connection ends the filter; the next one finds the map as it was.
        with _sender(tmp_path / "later", sending, network) as sender:
            sender.send(LOGIN.replace(CLIENT, STRANGER), tag="dovecot")
            wait_for(lambda: postfix.rcpt(STRANGER).startswith("250"), "the relay to be open")
        assert postfix.rcpt(CLIENT).startswith("250")
        command = ("pbs-filter", "--list")
        volume = f"{data}:/var/lib/pbs-filter"
        with image.container(*command, volumes=[volume]) as listing:
            assert 0 == listing.wait(60)
            assert f"\n{CLIENT} " in listing.said()
        # Nobody's login without the volume: the lookups say "not now", and Postfix defers.
        (data / "map.gdbm").rename(data / "away")
        assert postfix.rcpt(CLIENT).startswith("451")


def _sender(directory: Path, action: str, within: Sequence[str]) -> Rsyslog:
    directory.mkdir()
    return Rsyslog.with_files(directory, [directory / "log"], rules=action, within=within)


def _listens(pid: int) -> bool:
    rows = Path(f"/proc/{pid}/net/tcp").read_text() + Path(f"/proc/{pid}/net/tcp6").read_text()
    return any(f":{PORT:04X} " in row and " 0A " in row for row in rows.splitlines())
