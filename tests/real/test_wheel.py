"""A wheel is all there is to an installation; the source distribution is the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from .packages import CHECKOUT, checked_in

PYTHON = "/usr/bin/python3"
TOOLS = ("build>=1.2", "twine>=6", "check-wheel-contents>=0.6", "pipx>=1.5")
TREES = ("rsyslog", "syslog-ng", "examples")
NOT_INSTALLED = (
    "examples/debian/",
    "examples/quickstart",
    "examples/man/",
    "examples/completion/",
    "examples/container/",
    "examples/ci/",
    "examples/rpm/",
)
"""What is of use only in a checkout, or has a place of its own."""
SHELLS = {
    "bash": "bash-completion/completions",
    "zsh": "zsh/site-functions",
    "fish": "fish/vendor_completions.d",
}


def run(*argv: str | Path, cwd: Path, text: str = "") -> str:
    done = subprocess.run(
        argv,
        cwd=cwd,
        # Nothing of this checkout, whose venv may be active.
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        | {name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, f"{argv}: {done.stdout[-3000:]}"
    return done.stdout


def check_out(source: Path) -> None:
    """Copy what is checked in to the directory `source`."""
    for name in checked_in():
        if (CHECKOUT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, source / name)


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has the wheel and what it depends on. The wheel is built from what is checked in."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    check_out(source)
    # What the build of an older version left in a clone that was pulled since.
    gone = source / "build/lib/pbs_filter/servers/gone.py"
    gone.parent.mkdir(parents=True)
    gone.write_text("raise AssertionError\n")
    made = directory / "venv"
    run(PYTHON, "-m", "venv", made, cwd=directory)
    pip = (made / "bin/python", "-m", "pip", "-q", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "-w", directory, source, cwd=directory)
    (wheel,) = directory.glob("pbs_filter-*.whl")
    shutil.rmtree(source)
    run(*pip, "install", wheel, cwd=directory)
    return made


def test_both_programs_work_in_another_directory(venv: Path, tmp_path: Path) -> None:
    pbs_filter, pbs_lookup = venv / "bin/pbs-filter", venv / "bin/pbs-lookup"
    # Debian's Python finds its _gdbm from a venv, too.
    options = ("--config=/dev/null", f"--dbfile={tmp_path}/state/map.gdbm")
    assert "configuration: ok" in run(pbs_filter, "--config=/dev/null", "--check", cwd=tmp_path)
    (tmp_path / "state").mkdir(mode=0o750)
    log = (CHECKOUT / "examples/sample-mail.log").read_text()
    run(pbs_filter, *options, "--confirm=no", cwd=tmp_path, text=log)
    assert "192.0.2.7" in run(pbs_filter, *options, "--list", cwd=tmp_path)
    said = run(
        pbs_lookup, "check", "--verbose", f"--map={tmp_path}/state/map.gdbm", "192.0.2.7",
        cwd=tmp_path,
    )  # fmt: skip
    assert "192.0.2.7 may relay\n" == said


def test_the_rules_that_were_kept_fit_the_modules_beside_them(venv: Path, tmp_path: Path) -> None:
    ask = (
        "from pbs_filter.service.shipped_servers import shipped; "
        "print({type(rule).__name__ for server in shipped() for rule in server.rules})"
    )
    assert "{'KeptRule'}\n" == run(venv / "bin/python", "-c", ask, cwd=tmp_path)


def test_a_module_that_is_gone_since_the_last_build_is_not_installed(venv: Path) -> None:
    assert list(venv.rglob("pbs_filter/servers/dovecot.py"))
    assert [] == list(venv.rglob("pbs_filter/servers/gone.py"))


def test_the_shipped_files_are_installed_and_found(venv: Path, tmp_path: Path) -> None:
    share = venv / "share/pbs-filter"
    expected = {
        name
        for name in checked_in()
        if name.startswith(tuple(f"{tree}/" for tree in TREES))
        and not name.startswith(NOT_INSTALLED)
        and (CHECKOUT / name).is_file()
    }
    # pip compiles what is Python among them.
    files = [p for p in share.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    found = {str(p.relative_to(share)): p for p in files}
    assert expected == set(found)
    for name, path in found.items():
        assert (CHECKOUT / name).read_bytes() == path.read_bytes()
    ask = "from pbs_filter.setup import shipped; print(shipped.directory())"
    assert f"{share}\n" == run(venv / "bin/python", "-c", ask, cwd=tmp_path)


def test_manual_pages_and_completions_are_where_man_and_the_shells_look(venv: Path) -> None:
    places = {path: f"man/man{path.suffix[1:]}" for path in CHECKOUT.glob("examples/man/*.[58]")}
    for shell, place in SHELLS.items():
        places |= dict.fromkeys(CHECKOUT.glob(f"examples/completion/{shell}/*"), place)
    assert 8 == len(places)
    for path, place in places.items():
        assert path.read_text("utf-8") == (venv / "share" / place / path.name).read_text("utf-8")


def test_readmes_way_by_pipx(tools: Path, tmp_path: Path) -> None:
    """As README has it, but for the places; what it installs ends with it."""
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    (command,) = re.findall(r"(?m)^    (PIPX_HOME=.* pipx install \.)$", readme)
    check_out(tmp_path / "clone")
    for old, new in (("/opt", "opt"), ("/usr/local", "local"), (" pipx ", f" {tools}/pipx ")):
        command = command.replace(old, f"{tmp_path}/{new}" if new in ("opt", "local") else new)
    command += f" --python {PYTHON}"
    run("sh", "-c", command, cwd=tmp_path / "clone")
    assert "pbs-filter " in run(tmp_path / "local/bin/pbs-filter", "--version", cwd=tmp_path)
    # GDBM is there, and so are the shipped files that --setup puts in place.
    program = (tmp_path / "local/bin/pbs-filter").resolve().parents[1]
    assert (program / "share/pbs-filter/rsyslog/pbs-filter.conf").is_file()
    assert (tmp_path / "local/share/man/man8/pbs-filter.8").is_file()
    run("sh", "-c", command.partition(" install")[0] + " uninstall pbs-filter", cwd=tmp_path)
    assert not (tmp_path / "local/bin/pbs-filter").exists()
    assert not (tmp_path / "local/share/man/man8/pbs-filter.8").exists()


# ------------------------------------------------------------------ the source distribution


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of programs that build and check distributions."""
    made = tmp_path_factory.mktemp("tools") / "venv"
    run(sys.executable, "-m", "venv", made, cwd=CHECKOUT)
    pip = (made / "bin/python", "-m", "pip", "-q", "--disable-pip-version-check", "install")
    run(*pip, *TOOLS, cwd=CHECKOUT)
    return made / "bin"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Path:
    """A directory with both distributions, and the words of the build."""
    directory = tmp_path_factory.mktemp("built")
    check_out(directory / "source")
    said = run(
        tools / "python", "-m", "build", "--outdir", directory, directory / "source", cwd=directory
    )
    (directory / "said").write_text(said)
    return directory


def sdist(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


def test_the_source_distribution_has_every_file_that_is_checked_in(built: Path) -> None:
    with tarfile.open(sdist(built)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert [] == [n for n in checked_in() if n not in names and (CHECKOUT / n).is_file()]


def test_its_tests_find_its_files_without_git(built: Path, tmp_path: Path) -> None:
    run("tar", "-xf", sdist(built), cwd=tmp_path)
    (root,) = tmp_path.iterdir()
    (root / "build/lib").mkdir(parents=True)
    (root / "build/lib/left.py").touch()
    ask = "from tests.real.packages import checked_in; print(*checked_in(), sep='\\n')"
    found = run(PYTHON, "-c", ask, cwd=root).splitlines()
    assert sorted(n for n in checked_in() if (CHECKOUT / n).is_file()) == [
        name for name in found if name not in ("PKG-INFO", "setup.cfg")
    ]


def test_its_tests_can_be_collected(built: Path, tmp_path: Path) -> None:
    run("tar", "-xf", sdist(built), cwd=tmp_path)
    (root,) = tmp_path.iterdir()
    said = run(
        sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", cwd=root
    )
    assert " tests collected" in said
    assert "error" not in said.splitlines()[-1]


def test_nothing_that_it_says_of_itself_goes_out_of_use(built: Path) -> None:
    assert "Deprecat" not in (built / "said").read_text()


def test_the_index_and_the_wheel_checker_are_content(built: Path, tools: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert (
        run(tools / "twine", "check", "--strict", wheel, sdist(built), cwd=built).count("PASSED")
        == 2
    )
    assert "OK" in run(tools / "check-wheel-contents", wheel, cwd=built)
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith("/pbs-lookup")]
    assert 1 == sum("/scripts/" in name or "/lookup/" in name for name in names)


def test_the_version_is_the_programs(built: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "pbs_filter", "--version"],
        cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"pbs_filter-{said.split()[-1]}.tar.gz" == sdist(built).name
