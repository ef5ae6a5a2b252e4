"""Promise 9: as little power as possible, and files that nobody else can have made."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..real.packages import install
from ..running import COMMAND, ENVIRONMENT, Running, login, run, wait_for
from . import figure

ROOT = Path(__file__).resolve().parents[2]
NOBODY = pwd.getpwnam("nobody")
GROUP = grp.getgrgid(NOBODY.pw_gid)
READER = pwd.getpwnam("daemon")
WORST_SCORE = 2.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that other accounts can reach."""
    directory = Path(tempfile.mkdtemp(prefix="pbs-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def words_of(pid: int, name: str) -> list[str]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1:]
    raise AssertionError(name)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_started_as_root_it_is_somebody_else_before_the_first_line(
    public: Path, umask: int
) -> None:
    store = public / "store"
    os.umask(umask)
    try:
        pipeline = Running(
            store, "--user=nobody", f"--group={GROUP.gr_name}", f"--logto={public}/log"
        )
    finally:
        os.umask(0o022)
    with pipeline:
        assert b"OK" == pipeline.reply()
        pid = pipeline.process.pid
        assert [str(NOBODY.pw_uid)] * 4 == words_of(pid, "Uid")
        assert [str(NOBODY.pw_gid)] * 4 == words_of(pid, "Gid")
        assert [str(NOBODY.pw_gid)] == words_of(pid, "Groups")
        assert 0 == int(words_of(pid, "CapEff")[0], 16)
        assert b"OK" == pipeline.ask(login("192.0.2.7"))
        wait_for(lambda: {"192.0.2.7"} == pipeline.addresses(), "the map")
        for entry in [store, *store.iterdir()]:
            found = entry.lstat()
            assert NOBODY.pw_uid == found.st_uid, entry
            assert NOBODY.pw_gid == found.st_gid, entry
            # Lookups, who are in the group, send their counts to that socket.
            closed = 0o007 if entry.name == "map.lookups" else 0o027
            assert 0 == stat.S_IMODE(found.st_mode) & closed, entry
        for uid, gid, expected in (
            (READER.pw_uid, NOBODY.pw_gid, 0),
            (READER.pw_uid, READER.pw_gid, 75),
        ):
            asked = as_other(uid, gid, "-m", "pbs_filter.lookup", "check", f"--map={store}/map",
                             "192.0.2.7")  # fmt: skip
            assert expected == asked.returncode, asked.stderr
        writes = "import sys; open(sys.argv[1], 'r+b')"
        for entry in store.iterdir():
            if entry.is_file():
                tried = as_other(READER.pw_uid, NOBODY.pw_gid, "-c", writes, str(entry))
                assert b"PermissionError" in tried.stderr, entry
        assert 0 == pipeline.end()


def as_other(uid: int, gid: int, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Python, as another account."""
    return subprocess.run(
        [sys.executable, *arguments],
        user=uid,
        group=gid,
        extra_groups=[],
        env=ENVIRONMENT,
        cwd="/",
        capture_output=True,
        check=False,
    )


NAMES = ("map", "map.journal", "map.lock", "map.state")


def refused(place: Path) -> str:
    """What a start says that ends with "mend the configuration"."""
    done = subprocess.run(
        [*COMMAND, f"--dbfile={place}/map", "--config=/dev/null"],
        input=login("192.0.2.7").encode(),
        capture_output=True,
        env=ENVIRONMENT,
        timeout=300,
        check=False,
    )
    said = done.stderr.decode()
    assert 78 == done.returncode, said
    assert "Traceback" not in said
    return said


def link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(b"precious")
    path.symlink_to("elsewhere")


def foreign(path: Path) -> None:
    path.write_bytes(b"")
    os.chown(path, READER.pw_uid, -1)


def writable(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0o666)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def owners_of(store: Path) -> dict[str, tuple[str, str]]:
    """Account and group of the directory (".") and of each file of the store."""
    return {
        os.path.relpath(path, store): (path.owner(), path.group())
        for path in (store, *store.iterdir())
    }


@pytest.mark.parametrize(
    ("before", "after", "owner"),
    [
        (["--user=nobody", "--group=nogroup"], ["--user=nobody", "--group=mail"], "nobody mail"),
        (["--user=nobody", "--group=mail"], ["--user=daemon", "--group=mail"], "daemon mail"),
        (["--user=nobody"], ["--user=daemon"], "daemon daemon"),
        (["--group=nogroup"], ["--group=mail"], "root mail"),
    ],
)
def test_the_files_follow_the_account_and_the_group_of_the_configuration(
    public: Path, before: list[str], after: list[str], owner: str
) -> None:
    """At the next start, all of them, so that what is in the configuration is what counts."""
    store = public / "store"
    for serial, options in enumerate((before, before, after), 1):
        with Running(store, *options, f"--logto={public}/log") as pipeline:
            assert b"OK" == pipeline.reply()
            assert b"OK" == pipeline.ask(login(f"192.0.2.{serial}"))
            wait_for(lambda serial=serial: f"192.0.2.{serial}" in pipeline.addresses())
            found = owners_of(store)
            assert 0 == pipeline.end()
    assert {tuple(owner.split())} == {
        pair for name, pair in found.items() if name != "map.control"
    }, found
    assert {f"192.0.2.{serial}" for serial in (1, 2, 3)} == pipeline.addresses()


def test_no_other_file_is_given_away_with_the_store(public: Path) -> None:
    """The account may put links and second names into its directory before the next start."""
    store = public / "store"
    with Running(store, "--user=nobody", f"--logto={public}/log") as pipeline:
        assert b"OK" == pipeline.reply()
        assert 0 == pipeline.end()
    precious = public / "precious"
    precious.write_text("root's")
    (store / "map.journal.1").symlink_to(precious)
    os.link(precious, store / "map.damaged-1")
    (store / "other").write_text("nobody's business")
    with Running(store, "--user=daemon", f"--logto={public}/log") as pipeline:
        assert b"OK" == pipeline.reply()
        assert 0 == pipeline.end()
    assert 0 == precious.stat().st_uid == (store / "other").stat().st_uid


SANDBOX = ["setpriv", "--bounding-set=-setuid,-setgid,-fowner", "--inh-caps=-all"]
"""What root lacks below Debian 13's rsyslog.service."""


def test_root_in_a_sandbox_works_with_the_files_of_the_account(public: Path) -> None:
    """Debian 12's rsyslog lets the filter become its account, Debian 13's does not: the same files
    work before and after the upgrade, and when the sandbox is mended."""
    store = public / "store"
    options = ["--user=nobody", f"--group={GROUP.gr_name}", f"--logto={public}/log"]
    for serial, prefix in enumerate(([], SANDBOX, SANDBOX, []), 1):
        with Running(store, *options, prefix=prefix) as pipeline:
            assert b"OK" == pipeline.reply()
            assert b"OK" == pipeline.ask(login(f"192.0.2.{serial}"))
            wait_for(lambda serial=serial: f"192.0.2.{serial}" in pipeline.addresses())
            (store / "map.state").chmod(0o600)  # to be set right again
            assert 0 == pipeline.end()
    assert {f"192.0.2.{serial}" for serial in (1, 2, 3, 4)} == pipeline.addresses()
    assert {("nobody", GROUP.gr_name)} == set(owners_of(store).values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", [link, foreign, writable, pipe])
def test_a_file_that_somebody_else_may_have_made_is_refused(
    place: Path, name: str, what: Callable[[Path], None]
) -> None:
    what(place / name)
    assert str(place / name) in refused(place)
    if what is link:
        assert b"precious" == (place / "elsewhere").read_bytes()


@pytest.mark.parametrize("name", ["map.new", "map.journal.new", "map.clock", "map.clock.new"])
@pytest.mark.parametrize("what", [link, foreign, writable, pipe])
def test_what_is_only_in_the_way_is_replaced(
    place: Path, name: str, what: Callable[[Path], None]
) -> None:
    what(place / name)
    with Running(place) as pipeline:
        assert b"OK" == pipeline.reply()
        assert b"OK" == pipeline.ask(login("192.0.2.7"))
        assert 0 == pipeline.end()
        assert {"192.0.2.7"} == pipeline.addresses()
    if what is link:
        assert b"precious" == (place / "elsewhere").read_bytes()
    if name == "map.clock":
        assert stat.S_ISREG((place / name).lstat().st_mode)
        assert 0o640 == stat.S_IMODE((place / name).lstat().st_mode)


@pytest.mark.parametrize("mode", [0o755, 0o1777], ids=["root's link", "a link in a public place"])
def test_a_store_behind_a_link(public: Path, mode: int) -> None:
    """Root's own link is followed; where others could put another one, nothing is given away."""
    store, way = public / "store", public / "place" / "link"
    way.parent.mkdir()
    way.parent.chmod(mode)
    way.symlink_to(store)
    with Running(store) as first:
        assert b"OK" == first.reply()
        assert 0 == first.end()
    os.chown(store, NOBODY.pw_uid, -1)
    store.chmod(0o750)
    log = public / "log"
    with Running(way, "--user=nobody", f"--group={GROUP.gr_name}", f"--logto={log}") as second:
        if mode == 0o755:
            assert b"OK" == second.reply()
            assert NOBODY.pw_uid == (store / "map").stat().st_uid
            assert "cannot give" not in log.read_text()
        else:
            assert 78 == second.process.wait(60)
            assert "it is a link that others than root may change; name" in log.read_text()
            assert 0 == (store / "map").stat().st_uid


@pytest.mark.parametrize(("mode", "uid"), [(0o777, 0), (0o770, 0), (0o750, READER.pw_uid)])
def test_a_directory_in_which_others_could_swap_files_is_refused(
    place: Path, mode: int, uid: int
) -> None:
    store = place / "store"
    store.mkdir()
    store.chmod(mode)
    os.chown(store, uid, -1)
    assert str(store) in refused(store)


@pytest.mark.parametrize(("mode", "uid"), [(0o646, 0), (0o644, READER.pw_uid)])
def test_a_configuration_that_others_could_have_written_is_refused(
    place: Path, mode: int, uid: int
) -> None:
    config = place / "pbs-filter.toml"
    config.write_text(f'map = "{place}/map"\n')
    config.chmod(mode)
    os.chown(config, uid, -1)
    done = run(f"--config={config}", stdin=login("192.0.2.7"))
    assert 78 == done.returncode
    assert str(config) in done.stderr.decode()
    assert not (place / "map").exists()


@pytest.mark.parametrize(
    ("file_mode", "directory_mode", "uid"),
    [(0o646, 0o755, 0), (0o664, 0o755, 0), (0o644, 0o777, 0), (0o644, 0o755, READER.pw_uid)],
)
def test_a_grammar_that_others_could_have_written_is_refused(
    place: Path, file_mode: int, directory_mode: int, uid: int
) -> None:
    """It is a program, which would run with the filter's rights."""
    directory = place / "grammars"
    directory.mkdir()
    grammar = directory / "acme.py"
    grammar.write_text(f"open({str(place / 'ran')!r}, 'w').close()")
    grammar.chmod(file_mode)
    os.chown(grammar, uid, -1)
    directory.chmod(directory_mode)
    config = place / "pbs-filter.toml"
    config.write_text(f'map = "{place}/map"\n[[server]]\npython = "{grammar}"\n')
    done = run(f"--config={config}", stdin=login("192.0.2.7"))
    assert 78 == done.returncode
    assert str(grammar) in done.stderr.decode()
    assert not (place / "ran").exists()


def units() -> list[Path]:
    return sorted((ROOT / "examples" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.name)
def test_the_units_are_rated_safe(unit: Path, tmp_path: Path) -> None:
    """By systemd-analyze, without a running systemd."""
    install("systemd")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         f"--threshold={WORST_SCORE * 10:.0f}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert 0 == rated.returncode, rated.stdout + rated.stderr
    last = next(line for line in rated.stdout.splitlines() if "exposure level" in line)
    figure(f"exposure of {unit.name}", last.rpartition(": ")[2].split()[0])
