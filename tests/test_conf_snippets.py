"""The shipped configuration snippets are what their programs accept, and are not out of date."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from pbs_filter import cli

from .real.certificates import TLS, commands, make
from .real.daemons import syslog_ng
from .real.daemons.journald import systemd_program
from .real.packages import CHECKOUT, install, launch, unpack

needs_packages = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root, to install or unpack"
)


def text(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def accepts(command: list[str | Path]) -> str:
    """What `command` says; it must end well."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout
    return done.stdout


ADVICE = (
    "backward-compatible insecure default in use: global(",
    "is very large - is this really intended?",
    "has no dedicated non-direct queue; input processing will share the main queue",
)
"""What rsyslog 8.2610 says of any configuration, of our large queue, and of a ruleset that passes
its lines on to the action's own queue."""


def rsyslog_accepts(config: Path) -> None:
    """rsyslog takes it, without a word against it."""
    said = accepts(["/usr/sbin/rsyslogd", "-N1", "-f", config])
    lines = [line for line in said.splitlines() if not any(words in line for words in ADVICE)]
    against = [line for line in lines if re.search("error|warning", line, re.IGNORECASE)]
    assert [] == against, said


def systemd_verify() -> list[str]:
    """The first words of a command that reads units, with those of the unpacked systemd beside
    them: a container has none of its own."""
    units = unpack("systemd") / "usr/lib/systemd/system"
    analyze = systemd_program("/usr/bin/systemd-analyze")
    return ["env", f"SYSTEMD_UNIT_PATH={units}:", *analyze, "verify", "--man=no"]


# ------------------------------------------------------------------ rsyslog


RSYSLOG_INPUTS = [
    ["rsyslog/imuxsock.conf"],
    ["rsyslog/imjournal.conf"],
    ["rsyslog/imuxsock.conf", "rsyslog/central.conf"],
]


def with_certificates(name: str, directory: Path) -> str:
    """The file `name` with paths of certificates that are there."""
    tls = directory / "tls"
    return text(name).replace(TLS, str((tls if tls.exists() else make(tls)) / "loghost"))


@needs_packages
@pytest.mark.parametrize("sender", ["relp", "tcp"])
def test_rsyslog_accepts_the_files_of_a_pop_host(sender: str, tmp_path: Path) -> None:
    install("rsyslog", "rsyslog-relp", "rsyslog-gnutls")
    config = tmp_path / "rsyslog.conf"
    config.write_text(
        f'global(workDirectory="{tmp_path}")\n'
        + text("rsyslog/imuxsock.conf")
        + text("rsyslog/client.conf")
        + with_certificates(f"rsyslog/client-{sender}.conf", tmp_path)
    )
    rsyslog_accepts(config)


@needs_packages
@pytest.mark.parametrize("inputs", RSYSLOG_INPUTS, ids=" ".join)
def test_rsyslog_accepts_the_drop_in_with_each_input(inputs: list[str], tmp_path: Path) -> None:
    install("rsyslog", "rsyslog-relp", "rsyslog-gnutls")
    config = tmp_path / "rsyslog.conf"
    modules = [text(name) for name in inputs if "central" not in name]
    behind = [with_certificates(name, tmp_path) for name in inputs if "central" in name]
    config.write_text(
        f'global(workDirectory="{tmp_path}")\n'
        + "".join([*modules, text("rsyslog/pbs-filter.conf"), *behind])
    )
    rsyslog_accepts(config)


@needs_packages
def test_rsyslog_accepts_the_larger_queue_of_a_central_host(tmp_path: Path) -> None:
    install("rsyslog", "rsyslog-relp", "rsyslog-gnutls")
    drop_in = tmp_path / "10-pbs-filter.conf"
    drop_in.write_text(text("rsyslog/pbs-filter.conf"))
    printed = commands("examples/central/README.md", "2. The central host")
    sed = printed[printed.index("sed ") :].partition("\nrsyslogd")[0]
    accepts(["sh", "-ec", sed.replace("/etc/rsyslog.d", str(tmp_path))])
    changed = drop_in.read_text()
    assert 4 == sum(
        one != other
        for one, other in zip(
            changed.splitlines(), text("rsyslog/pbs-filter.conf").splitlines(), strict=True
        )
    )
    config = tmp_path / "rsyslog.conf"
    config.write_text(
        f'global(workDirectory="{tmp_path}")\n'
        + changed
        + with_certificates("rsyslog/central.conf", tmp_path)
    )
    rsyslog_accepts(config)


@needs_packages
def test_rsyslog_accepts_the_drop_in_in_debians_own_configuration(tmp_path: Path) -> None:
    install("rsyslog")
    drop_ins = tmp_path / "rsyslog.d"
    drop_ins.mkdir()
    (drop_ins / "10-pbs-filter.conf").write_text(text("rsyslog/pbs-filter.conf"))
    debian = Path("/etc/rsyslog.conf").read_text().replace("/etc/rsyslog.d", str(drop_ins))
    config = tmp_path / "rsyslog.conf"
    for first in ("", "one line for each local line: "):
        if first:  # what imuxsock.conf tells to do
            (line,) = re.findall(r"(?m)^module\(.*\)$", text("rsyslog/imuxsock.conf"))
            debian, count = re.subn(r'(?m)^module\(load="imuxsock".*$', line, debian)
            assert 1 == count
        config.write_text(debian)
        rsyslog_accepts(config)


# ------------------------------------------------------------------ syslog-ng


@needs_packages
@pytest.mark.parametrize("place", ["conf.d", "scl"])
def test_syslog_ng_accepts_block_and_log_path_in_debians_own_configuration(
    place: str, tmp_path: Path
) -> None:
    root = unpack(*syslog_ng.PACKAGES)
    etc = tmp_path / "etc"
    (etc / "conf.d").mkdir(parents=True)
    block, log_path = text("syslog-ng/pbs-filter/plugin.conf"), text("syslog-ng/log-path.conf")
    include = f"{root}/usr/share/syslog-ng/include:{root}/etc/syslog-ng"
    if place == "scl":
        scl = tmp_path / "include" / "scl" / "pbs-filter"
        scl.mkdir(parents=True)
        (scl / "plugin.conf").write_text(block)
        # scl.conf looks beside itself; Debian 13 has it where the blocks are
        places = ("etc/syslog-ng", "usr/share/syslog-ng/include")
        found = next(root / place for place in places if (root / place / "scl.conf").exists())
        original = (found / "scl.conf").read_text()
        (etc / "scl.conf").write_text(f'{original}\n@include "{scl}/plugin.conf"\n')
        block = ""
        include = f"{etc}:{include}"
    central = with_certificates("syslog-ng/central.conf", tmp_path)
    client = with_certificates("syslog-ng/client.conf", tmp_path)
    (etc / "conf.d" / "pbs-filter.conf").write_text(block + log_path + central + client)
    debian = (root / "etc/syslog-ng/syslog-ng.conf").read_text()
    # The one part that runs a script from a fixed path, where nothing is installed.
    debian = debian.replace("getvirtconsole()", 'file("/dev/null")')
    version, rest = debian.split("\n", 1)
    config = etc / "syslog-ng.conf"
    config.write_text(
        f'{version}\n@define include-path "{include}"\n'
        + rest.replace("/etc/syslog-ng/conf.d", str(etc / "conf.d"))
    )
    expanded = tmp_path / "expanded"
    said = accepts([*syslog_ng.command(), "-s", "-f", config, f"--preprocess-into={expanded}"])
    assert "pbs-filter" not in said
    assert "exec /opt/pbs-filter/bin/pbs-filter" in expanded.read_text()


@needs_packages
def test_the_parameters_of_the_block_reach_the_program(tmp_path: Path) -> None:
    config = tmp_path / "syslog-ng.conf"
    config.write_text(
        syslog_ng.head()
        + text("syslog-ng/pbs-filter/plugin.conf")
        + "destination d_pbs { pbs-filter("
        'command("/usr/local/bin/pbs-filter") options("--debug") logto("/tmp/log") '
        "fifo-size(1000) throttle(77)); };\n"
    )
    expanded = tmp_path / "expanded"
    accepts([*syslog_ng.command(), "-s", "-f", config, f"--preprocess-into={expanded}"])
    block = expanded.read_text().rpartition("destination d_pbs")[2]
    assert (
        "exec /usr/local/bin/pbs-filter --confirm=no --retry-start --logto=/tmp/log --debug"
        in block
    )
    assert "log-fifo-size(1000)" in block
    assert "throttle(77)" in block


# ------------------------------------------------------------------ around them


@needs_packages
def test_apparmor_accepts_the_snippet_in_a_profile_of_rsyslogd(tmp_path: Path) -> None:
    root = unpack("apparmor")
    profile = tmp_path / "usr.sbin.rsyslogd"
    profile.write_text(
        "abi <abi/3.0>,\ninclude <tunables/global>\n"
        "profile rsyslogd /usr/sbin/rsyslogd {\n  include <abstractions/base>\n"
        f'  include "{CHECKOUT}/rsyslog/apparmor"\n}}\n'
    )
    accepts(
        [
            *launch(root, "/usr/sbin/apparmor_parser"),
            *("--skip-kernel-load", "--skip-cache", "--abort-on-error"),
            *("--base", str(root / "etc/apparmor.d")),
            profile,
        ]
    )


@needs_packages
@pytest.mark.parametrize("name", ["journal", "tail"])
def test_systemd_accepts_the_units(name: str) -> None:
    unit = CHECKOUT / f"examples/systemd/pbs-filter-{name}.service"
    assert "" == accepts([*systemd_verify(), unit])


@needs_packages
def test_systemd_accepts_the_units_that_reload_opendkim() -> None:
    units = [CHECKOUT / f"examples/filters/pbs-opendkim.{kind}" for kind in ("path", "service")]
    assert "" == accepts([*systemd_verify(), *units])


@pytest.mark.parametrize("name", ["journal", "tail"])
def test_the_units_of_the_feeds_leave_the_directory_to_the_filters_account(name: str) -> None:
    """StateDirectory= gives it to root at each start, and `user` could not write there."""
    lines = text(f"examples/systemd/pbs-filter-{name}.service").splitlines()
    assert not [line for line in lines if line.startswith("StateDirectory=")]
    assert "ReadWritePaths=-/var/lib/pbs-filter" in lines


@needs_packages
def test_systemd_accepts_the_drop_in_for_redis(tmp_path: Path) -> None:
    for name in (
        "systemd/pbs-lookup.service",
        "systemd/pbs-lookup.socket",
        "redis/pbs-lookup.conf",
    ):
        text = (CHECKOUT / "examples" / name).read_text()
        text = text.replace("@sentinels@", "192.0.2.11")
        text = text.replace("/opt/pbs-filter/bin/pbs-lookup", "/bin/true")
        place = tmp_path / name.replace("redis/", "systemd/pbs-lookup.service.d/")
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    unit = tmp_path / "systemd/pbs-lookup.service"
    analyze = systemd_program("/usr/bin/systemd-analyze")
    assert "" == accepts([*systemd_verify(), unit])
    told = accepts([*analyze, "security", "--offline=true", "--no-pager", unit])
    assert "Service may allocate Internet sockets" in told


@needs_packages
@pytest.mark.parametrize("daemon", ["rsyslog", "syslog-ng"])
def test_logrotate_accepts_the_snippets(daemon: str, tmp_path: Path) -> None:
    command = launch(unpack("logrotate"), "/usr/sbin/logrotate")
    # As it is installed: logrotate reads no file that others can write, as in a clone they may.
    snippet = tmp_path / "logrotate"
    snippet.write_bytes((CHECKOUT / daemon / "logrotate").read_bytes())
    said = accepts([*command, "--debug", snippet])
    assert "rotating pattern: /var/log/pbs-filter.log" in said
    assert "error" not in said


# ------------------------------------------------------------------ what the texts say


def test_the_files_that_the_central_readme_copies_are_there() -> None:
    readme = "examples/central/README.md"
    copied = [
        word
        for heading in ("2. The central host", "3. Each POP host")
        for word in commands(readme, heading).split()
        if word.startswith("../../")
    ]
    assert len(copied) >= 6
    for name in copied:
        assert (CHECKOUT / readme).parent.joinpath(name).exists(), name


@pytest.mark.parametrize(
    "readme",
    [
        "rsyslog/README.md",
        "syslog-ng/README.md",
        "examples/systemd/README.md",
        "examples/central/README.md",
        "examples/SIZING.md",
    ],
)
def test_what_a_readme_links_to_is_there(readme: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(readme)):
        assert (CHECKOUT / readme).parent.joinpath(link).exists(), link


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("rsyslog/pbs-filter.conf", r"\\t(--[a-z=-]+)"),
        ("syslog-ng/pbs-filter/plugin.conf", r" (--(?!omit|version)[a-z-]+)[ =]"),
        (
            "examples/systemd/pbs-filter-journal.service",
            r"pbs-filter (--[a-z=-]+) (--[a-z-]+) (--[a-z-]+)=",
        ),
        ("examples/systemd/pbs-filter-tail.service", r"pbs-filter (--[a-z=-]+) (--[a-z-]+)'"),
    ],
)
def test_the_options_in_the_snippets_exist(file: str, options: str) -> None:
    found = [
        option.partition("=")[0]
        for match in re.findall(options, re.sub(r"(?m)^ *#.*$", "", text(file)))
        for option in ([match] if isinstance(match, str) else match)
    ]
    assert found
    known = cli.parser().format_help()
    assert [] == [option for option in found if option not in known]
