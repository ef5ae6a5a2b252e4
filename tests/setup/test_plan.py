"""The decisions of --setup, for every daemon and MTA, and for unusual machines."""

from __future__ import annotations

import dataclasses
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter import cli
from pbs_filter.config.load import build
from pbs_filter.config.options import DEFAULT_PATH
from pbs_filter.errors import ConfigError
from pbs_filter.integrations import (
    Integration,
    courier,
    dovecot,
    exim,
    feeds,
    integrations,
    journal,
    lookup_unit,
    mtas,
    opensmtpd,
    postfix,
    rsyslog,
    sendmail,
    syslog_ng,
)
from pbs_filter.integrations.integration import choose
from pbs_filter.integrations.machine import LogSummary, Machine, version
from pbs_filter.integrations.plan import (
    ACCOUNT,
    OWN_SETTINGS,
    SETTINGS,
    Plan,
    finished,
    settings_file,
    split,
)
from pbs_filter.setup import discover, render, run, shipped

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = shipped.texts(tuple(name for each in integrations() for name in each.shipped))
ALL = {each.name: each for each in integrations()}
DAEMONS, MTAS = tuple(feeds()), tuple(mtas())
PROGRAM = "/usr/local/bin/pbs-filter"
PROGRAM_OF_THE_READMES = "/opt/pbs-filter/bin/pbs-filter"
LOOKUP_OF_THE_READMES = "/opt/pbs-filter/bin/pbs-lookup"

MAIN_CF = """\
myhostname = mx1
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
mynetworks = 127.0.0.0/8 [::1]/128
"""
FILES = {
    rsyslog.MAIN: (
        'module(load="imuxsock") # provides support for local system logging\n'
        "$IncludeConfig /etc/rsyslog.d/*.conf\n*.* /var/log/syslog\n"
    ),
    syslog_ng.MAIN: (
        '@version: 3.38\n@include "scl.conf"\nsource s_src {\n  system();\n  internal();\n};\n'
        '@include "/etc/syslog-ng/conf.d/*.conf"\n'
    ),
    postfix.MAIN: MAIN_CF,
    postfix.MASTER: "smtp inet n - y - - smtpd\n",
    exim.DEBCONF: "dc_use_split_config='true'\ndc_relay_nets='192.0.2.0/24 ; 198.51.100.7'\n",
    exim.SPLIT: "  accept hosts = +relay_from_hosts\n\n" + exim.REFUSES,
    sendmail.MAIN: "MAILER(`smtp')dnl\n",
    opensmtpd.MAIN: 'action "relay" relay\nmatch from local for any action "relay"\n',
    courier.MAIN: "PORT=smtp\nESMTPDSTART=YES\n",
}
VERSIONS = {
    "rsyslog": "8.2302.0",
    "syslog-ng": "3.38.1",
    "postfix": "3.7.11",
    "exim": "4.96",
    "sendmail": "(version unknown)",
    "opensmtpd": "7.6.0p1",
    "courier": "(version unknown)",
    "qmail": "(version unknown)",
}
PAIRS = list(itertools.product(DAEMONS, MTAS))


def machine(**changes: object) -> Machine:
    known = Machine(
        program=PROGRAM,
        lookup="/usr/local/bin/pbs-lookup",
        share=shipped.directory(),
        map="/var/lib/pbs-filter/map.gdbm",
        state="/var/lib/pbs-filter",
        versions=VERSIONS,
        files=FILES,
        directories=frozenset({rsyslog.LOGROTATE}),
        answers={postfix.MYNETWORKS: "127.0.0.0/8 [::1]/128"},
    )
    return dataclasses.replace(known, **changes)  # type: ignore[arg-type]


def with_files(*without: str, **changed: str) -> Machine:
    """The machine with other files; `_` in the names stands for what a name cannot have."""
    return machine(files={k: v for k, v in FILES.items() if k not in without} | changed)


def made(known: Machine, plan: Plan) -> Machine:
    """The machine after the plan."""
    return dataclasses.replace(
        known,
        files={**known.files, **{change.path: change.after for change in plan.changes}},
        accounts=frozenset(plan.accounts),
        groups=frozenset({ACCOUNT}),
    )


def chosen(*names: str) -> list[Integration]:
    return [ALL[name] for name in names]


def plan_of(known: Machine, *names: str) -> Plan:
    return run.plan_of(known, chosen(*names))


def after(plan: Plan, path: str) -> str:
    return next(change.after for change in plan.changes if change.path == path)


# ---------------------------------------------------------------------- every pair


@pytest.mark.parametrize(("daemon", "mta"), PAIRS)
def test_every_pair_has_a_plan_that_is_done_once(daemon: str, mta: str) -> None:
    known = machine()
    plan = plan_of(known, daemon, mta)
    paths = [change.path for change in plan.changes]
    assert len(set(paths)) == len(paths)
    assert ACCOUNT in plan.accounts
    assert plan.restart_commands
    again = plan_of(made(known, plan), daemon, mta)
    assert () == again.changes
    assert () == again.accounts
    assert plan.manual_steps == again.manual_steps


@pytest.mark.parametrize(("daemon", "mta"), PAIRS)
def test_every_pair_names_this_machines_paths_and_no_others(daemon: str, mta: str) -> None:
    known = machine()
    plan = plan_of(known, daemon, mta)
    said = render.plan(known, plan, chosen(daemon, mta))
    for change in plan.changes:
        assert "/opt/pbs-filter" not in re.sub(r"(?m)^#.*$", "", change.after)
        assert change.path in said
    for line in (*plan.manual_steps, *plan.restart_commands):
        assert line in said
    assert f"--setup {daemon} {mta} --apply" in said
    assert "/opt/pbs-filter" not in re.sub(r"(?m)^ *\S*#.*$|s\|/opt/\S*", "", said)


@pytest.mark.parametrize(("daemon", "mta"), PAIRS)
def test_the_commands_it_prints_make_the_same_files(daemon: str, mta: str, tmp_path: Path) -> None:
    known = machine(map="/srv/pbs & co/map|x", state="/srv/pbs & co")
    plan = plan_of(known, daemon, mta)
    new = [change for change in plan.changes if change.before is None]
    assert new
    said = render.plan(known, plan, chosen(daemon, mta))
    for change in new:
        if change.sources:
            command = render.copy_command(change, known.share)
            assert f"\n    {command}\n" in said
        else:
            command = render.here_document(change)
            assert f"\n{command}" in said
        target = tmp_path / change.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        here = command.replace(change.path, str(target)).replace(
            f"mkdir -p {change.path.rpartition('/')[0]}", "true"
        )
        subprocess.run(["sh", "-c", here], check=True)
        assert change.after == target.read_text()
        if change.mode != 0o644:
            assert change.mode == target.stat().st_mode & 0o7777


@pytest.mark.parametrize(("daemon", "mta"), PAIRS)
def test_the_filter_accepts_the_configuration_of_every_pair(daemon: str, mta: str) -> None:
    plan = plan_of(machine(), daemon, mta)
    config = build({SETTINGS: after(plan, SETTINGS)})
    assert config.require_vouched
    assert ACCOUNT == config.user
    group = {"opensmtpd": "opensmtpd", "courier": "courier"}.get(mta, ACCOUNT)
    assert group == config.group
    (place,) = plan.directories
    assert ("/var/lib/pbs-filter", ACCOUNT, group, 0o750) == dataclasses.astuple(place)


def test_without_a_daemon_or_an_mta_it_says_what_is_missing() -> None:
    known = machine(versions={})
    plan = plan_of(known)
    assert any("no systemd runs" in line for line in plan.manual_steps)
    assert any("nobody asks the map" in line for line in plan.manual_steps)
    said = render.plan(known, plan, [])
    assert "as it should be" not in said
    assert "daemons read it" not in said
    assert said.endswith(f"{plan.manual_steps[-1]}\n")


# ---------------------------------------------------------------------- which are meant


@pytest.mark.parametrize(
    ("names", "running", "expected"),
    [
        (["rsyslogd", "Exim4"], (), ["rsyslog", "exim"]),
        ([], ("syslog-ng", "postfix"), ["syslog-ng", "postfix"]),
        (["courier"], ("rsyslog",), ["rsyslog", "courier"]),
    ],
)
def test_what_is_not_named_is_what_runs(
    names: list[str], running: tuple[str, ...], expected: list[str]
) -> None:
    known = machine(running=frozenset(running))
    assert expected == [each.name for each in run.chosen_of(names, known)]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["rsyslog"],
            "courier and exim and .* are installed: say which MTA: --setup courier, --setup exim",
        ),
        (["rsyslog", "syslog-ng"], "rsyslog and syslog-ng: one syslog daemon at a time"),
        (["rsyslog", "postfix", "posfix"], "unknown name 'posfix'. Did you mean 'postfix'"),
    ],
)
def test_what_is_not_clear_is_asked_for(names: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run.chosen_of(names, machine())


def test_the_help_names_all_of_them() -> None:
    """Not made from them: a start would take longer by their import."""
    (mode,) = [mode for mode in cli.MODES if mode.name == "setup"]
    assert "|".join(word for each in integrations() for word in (each.name, *each.ways)) == (
        mode.metavar
    )


def test_several_that_run_are_not_clear_either() -> None:
    with pytest.raises(ValueError, match="exim and sendmail run: say which MTA"):
        choose(machine(running=frozenset({"exim", "sendmail"})), mtas())


def test_where_nothing_is_installed_nothing_is_chosen() -> None:
    bare = machine(versions={})
    assert [] == run.chosen_of([], bare)
    feeding, asking = run.plan_of(bare, []).manual_steps
    assert f"apt-get install rsyslog && {bare.program} --setup rsyslog\n" in feeding
    assert "journal" not in feeding.partition(":\n")[2]
    assert f"apt-get install postfix && {bare.program} --setup postfix\n" in asking
    assert f"\n        {bare.program} --setup qmail\n" in asking


def test_versions_are_compared_as_numbers() -> None:
    assert (8, 2302, 0) == version("8.2302.0")
    assert (7, 6, 0) == version("7.6.0p1")
    assert () == version("(version unknown)")


# ---------------------------------------------------------------------- pbs-filter.toml


def test_the_packages_own_file_stays_as_it_was() -> None:
    there = 'user = "pbs-filter"\ngroup = "pbs-filter"\n'
    plan = plan_of(with_files(**{DEFAULT_PATH: there}), "rsyslog", "opensmtpd")
    assert DEFAULT_PATH not in [change.path for change in plan.changes]
    settings = tomllib.loads(after(plan, SETTINGS))
    assert {"require_vouched": True, "group": "opensmtpd"} == settings
    assert not [step for step in plan.manual_steps if "something else" in step]


def test_a_setting_of_the_operators_own_is_left_and_told() -> None:
    known = with_files(**{DEFAULT_PATH: 'user = "mail"\n'})
    plan = plan_of(known, "rsyslog", "postfix")
    assert "user" not in tomllib.loads(after(plan, SETTINGS))
    assert any('right here is: user = "pbs-filter"' in line for line in plan.manual_steps)


def test_the_servers_are_those_of_the_mail_log_and_of_the_last_time() -> None:
    log = LogSummary(path="/var/log/mail.log", lines=9, logins={"dovecot": 3, "courier": 1})
    plan = plan_of(machine(log=log), "rsyslog", "postfix")
    assert ["courier", "dovecot"] == tomllib.loads(after(plan, SETTINGS))["servers"]
    assert any("only lines of courier, dovecot will be read" in note for note in plan.notes)
    known = with_files(**{SETTINGS: settings_file({"servers": ["popa3d"]})})
    known = dataclasses.replace(known, log=LogSummary(path="/l", lines=1, logins={"dovecot": 1}))
    plan = plan_of(known, "rsyslog", "postfix")
    assert ["dovecot", "popa3d"] == tomllib.loads(after(plan, SETTINGS))["servers"]
    # One that was quiet when --setup ran once more, but had logins not long ago, stays.
    plan = plan_of(dataclasses.replace(known, counted=frozenset({"uw"})), "rsyslog", "postfix")
    assert ["dovecot", "popa3d", "uw"] == tomllib.loads(after(plan, SETTINGS))["servers"]
    quiet = machine(log=LogSummary(path="/l", lines=9), counted=frozenset({"uw"}))
    plan = plan_of(quiet, "rsyslog", "postfix")
    assert "servers" not in tomllib.loads(after(plan, SETTINGS))


def test_a_server_in_the_log_whose_pieces_look_like_lines_is_told_with_the_cure() -> None:
    log = LogSummary(
        path="/l",
        lines=9,
        logins={"dovecot": 3},
        uncertain={"mailutils": "name it", "dovecot": "never told: it is named"},
    )
    plan = plan_of(machine(log=log), "rsyslog", "postfix")
    told = [note for note in plan.notes if "will not count" in note]
    assert ["logins of mailutils, which are in the mail log, will not count: name it"] == told


def test_postfix_tells_its_networks_if_it_has_any() -> None:
    assert [] == [row for row in postfix.facts(machine(answers={})) if row[0] == "mynetworks"]
    assert ("mynetworks", "127.0.0.0/8 [::1]/128") in postfix.facts(machine())


def test_the_unit_of_an_integration_has_its_name_or_one_of_its_own() -> None:
    assert all(each.unit == (each.service or each.name) for each in chosen("rsyslog", "postfix"))


def of_dovecot(files: dict[str, str] = FILES, **answers: str) -> list[str]:
    """What --setup says of Dovecot where its commands answer that."""
    commands = {" ".join(getattr(dovecot, name)): text for name, text in answers.items()}
    plan = plan_of(machine(answers=commands, files=files), "rsyslog", "exim")
    assert not [change for change in plan.changes if "dovecot" in change.path]
    return [note for note in plan.notes if "Dovecot" in note]


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("events-2.3.conf", "2.3.7 (494d20bdc)"),
        ("events-2.3.conf", "2.3.19.1 (9b53102964)"),
        ("events-2.4.conf", "2.4.1-4 (7d8c0e5759)"),
        ("events-2.4.conf", "2.5.0"),
    ],
)
def test_dovecots_logins_as_data_are_offered_with_the_file_for_its_version(
    file: str, version: str
) -> None:
    (note,) = of_dovecot(VERSION=version, INSTANCE="dovecot")
    assert f"Dovecot {version.split()[0]} " in note
    assert f"{shipped.directory()}/examples/dovecot/README.md" in note
    command = f"cp {shipped.directory()}/examples/dovecot/{file} /etc/dovecot/"
    assert command in note
    assert Path(command.split()[1]).is_file()
    assert f'"dovecot-events" to it in {OWN_SETTINGS}' in note


def test_a_dovecot_that_is_old_or_not_there_or_has_them_is_offered_none() -> None:
    there = {**FILES, dovecot.DROP_IN: "event_exporter pbs-filter {}\n"}
    assert [] == of_dovecot(files=there, VERSION="2.4.1", INSTANCE="dovecot")
    assert [] == of_dovecot()
    assert [] == of_dovecot(VERSION="2.3.6 (7eab80676)", INSTANCE="dovecot")
    assert [] == of_dovecot(VERSION="2.2.22 (fe789d2)")


def test_a_dovecot_of_another_instance_name_needs_programs() -> None:
    warnings = "doveconf: Warning: Obsolete setting in /etc/dovecot/dovecot.conf:9: ...\n"
    assert [] == of_dovecot(VERSION="2.2.22 (fe789d2)", INSTANCE=warnings + "dovecot")
    (note,) = of_dovecot(VERSION="2.2.22 (fe789d2)", INSTANCE=warnings + "dovecot-b")
    table = re.search(r"programs = \{.*?\}", note)
    assert table is not None
    config = build({"a": table[0]})
    assert {"dovecot": ("dovecot-b",), "dovecot-events": ("dovecot-b",)} == config.programs


def test_setup_asks_a_dovecot_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for (name, *arguments), answer in (
        (dovecot.VERSION, "2.3.19.1 (9b53102964)"),
        (dovecot.INSTANCE, "dovecot-b"),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n[ \"$*\" = '{' '.join(arguments)}' ] && echo '{answer}'\n")
        program.chmod(0o755)
    monkeypatch.setattr(discover, "PATH", str(tmp_path))
    monkeypatch.setattr(discover, "program", lambda: PROGRAM)
    answers = discover.machine(None).answers
    assert "2.3.19.1 (9b53102964)" == answers["dovecot --version"]
    assert "dovecot-b" == answers["doveconf -h instance_name"]


@pytest.mark.parametrize(
    ("expected", "there", "names"),
    [
        ("pbs-filter", "", ["rsyslog", "postfix"]),
        ("mail", 'user = "mail"\n', ["rsyslog", "postfix"]),
        ("mail", 'user = "mail"\n', ["exim"]),
        ("root", 'user = ""\n', ["rsyslog", "exim"]),
        ("root", "", ["exim"]),
    ],
)
def test_the_maps_directory_belongs_to_the_account_that_the_filter_becomes(
    expected: str, there: str, names: list[str]
) -> None:
    (place,) = plan_of(with_files(**{DEFAULT_PATH: there}), *names).directories
    assert expected == place.owner


def test_a_file_that_is_not_toml_is_left() -> None:
    for path in (DEFAULT_PATH, SETTINGS):
        known = with_files(**{DEFAULT_PATH: "debug = false\n"} | {path: "user = \n"})
        plan = plan_of(known, "rsyslog", "postfix")
        assert DEFAULT_PATH not in [change.path for change in plan.changes]
        assert any(line.startswith(f"{path} is not TOML") for line in plan.manual_steps)


@given(st.dictionaries(st.sampled_from(["user", "group", "map"]), st.sampled_from("xyz")))
def test_what_was_set_stays_set(main: dict[str, str]) -> None:
    wanted = {"user": "x", "group": "y"}
    ours, others = split(main, wanted)
    assert {**wanted, **main} == {**tomllib.loads(settings_file(ours)), **main}
    assert [key for key in wanted if main.get(key, wanted[key]) != wanted[key]] == [*others]


def test_a_program_that_other_accounts_cannot_reach_is_told() -> None:
    plan = plan_of(machine(closed="/root"), "rsyslog", "postfix")
    assert any(
        line.startswith("/root may be entered by its owner only") for line in plan.manual_steps
    )


# ---------------------------------------------------------------------- rsyslog


def feed(known: Machine) -> Plan:
    return finished(rsyslog.plan(known, SHIPPED), known)


def test_the_drop_in_goes_where_rsyslog_conf_includes() -> None:
    known = with_files(**{rsyslog.MAIN: 'include(file="/etc/rsyslog/d/*.conf" mode="optional")\n'})
    assert "/etc/rsyslog/d/10-pbs-filter.conf" in [c.path for c in feed(known).changes]
    plan = feed(with_files(rsyslog.MAIN))
    assert any("includes no directory" in line for line in plan.manual_steps)
    assert "require_vouched" not in plan.settings


@pytest.mark.parametrize(
    ("conf", "vouches"),
    [
        ('module(load="imuxsock")', False),
        ('module(load="imuxsock" SysSock.Annotate="on" SysSock.ParseTrusted="on")', True),
        ('module(load="imuxsock" SysSock.Annotate="on")', False),
        ('module(load="imjournal" StateFile="x")', True),
        ("$ModLoad imjournal", True),
        ("$ModLoad imuxsock", False),
        ("", False),
    ],
)
def test_whether_rsyslog_vouches_is_read_from_its_configuration(conf: str, vouches: bool) -> None:
    assert vouches == rsyslog.vouches(f"# x\n{conf}\n")


def test_only_a_plain_imuxsock_line_is_edited() -> None:
    (line,) = re.findall(r"(?m)^module.*$", SHIPPED["rsyslog/imuxsock.conf"])
    assert line in after(feed(machine()), rsyslog.MAIN)
    for conf in ('module(load="imuxsock" SysSock.Use="off")', "$ModLoad imuxsock"):
        plan = feed(with_files(**{rsyslog.MAIN: f"{conf}\n"}))
        assert rsyslog.MAIN not in [change.path for change in plan.changes]
        assert any("settings of its own" in line for line in plan.manual_steps)
        assert "require_vouched" not in plan.settings


def test_journald_must_forward() -> None:
    plan = feed(with_files(**{rsyslog.JOURNALD: "[Journal]\nForwardToSyslog=no\n"}))
    assert any("ForwardToSyslog=no" in line for line in plan.manual_steps)


def test_an_older_rsyslog_is_told() -> None:
    assert () == feed(machine()).notes
    plan = feed(machine(versions={"rsyslog": "8.2102.0"}))
    assert any("older than 8.2302" in line for line in plan.notes)


def test_apparmors_profile_gets_the_snippet_with_this_machines_paths() -> None:
    known = with_files(**{rsyslog.PROFILE: "profile rsyslogd /usr/sbin/rsyslogd { }\n"})
    plan = feed(known)
    snippet = after(plan, rsyslog.APPARMOR)
    assert f"{PROGRAM} rix," in snippet
    assert "/usr/local/** " in snippet
    assert ("apparmor_parser", "-Q", "-K", rsyslog.PROFILE) in [c.argv for c in plan.checks]
    by_pipx = dataclasses.replace(known, share="/opt/pipx/venvs/pbs-filter/share/pbs-filter")
    snippet = after(feed(by_pipx), rsyslog.APPARMOR)
    assert "/opt/pipx/venvs/pbs-filter/bin/pbs-filter rix," in snippet
    assert "/opt/pipx/venvs/pbs-filter/** " in snippet
    odd = dataclasses.replace(known, program="/srv/pbs/run-it")
    assert "/srv/pbs/bin/pbs-filter rix," in after(feed(odd), rsyslog.APPARMOR)
    # The filter, under that profile, may not run postconf.
    asks = postfix.plan(known, SHIPPED)
    assert ["127.0.0.0/8", "::1/128"] == asks.settings["local_networks"]


def test_in_debian_13s_sandbox_the_filter_may_become_its_user() -> None:
    unit = "[Service]\nCapabilityBoundingSet=CAP_BLOCK_SUSPEND CAP_CHOWN\n"
    plan = feed(with_files(**{rsyslog.UNITS[0]: unit}))
    assert "CAP_SETUID" in after(plan, rsyslog.SANDBOX)
    assert "systemctl daemon-reload" in plan.restart_commands
    plan = feed(with_files(**{rsyslog.UNITS[0]: "CapabilityBoundingSet=CAP_SETUID\n"}))
    assert rsyslog.SANDBOX not in [change.path for change in plan.changes]


def test_where_rsyslogd_is_somebody_else_so_is_the_filter() -> None:
    conf = FILES[rsyslog.MAIN] + "$PrivDropToUser syslog\n"
    known = with_files(**{rsyslog.MAIN: conf})
    plan = plan_of(known, "rsyslog", "courier")
    (place,) = plan.directories
    assert ("/var/lib/pbs-filter", "syslog", "courier", 0o2750) == dataclasses.astuple(place)
    settings = tomllib.loads(after(plan, SETTINGS))
    assert "user" not in settings
    assert "group" not in settings
    assert any("rsyslogd runs as syslog" in line for line in plan.notes)


def test_without_logrotate_nothing_is_put_there() -> None:
    for daemon in DAEMONS:
        plan = plan_of(machine(directories=frozenset()), daemon)
        assert f"{rsyslog.LOGROTATE}/pbs-filter" not in [change.path for change in plan.changes]


def test_a_rotation_that_is_there_is_left() -> None:
    known = with_files(**{f"{rsyslog.LOGROTATE}/pbs-filter": "/var/log/pbs-filter.log {\n}\n"})
    for daemon in DAEMONS:
        paths = [change.path for change in plan_of(known, daemon).changes]
        assert f"{rsyslog.LOGROTATE}/pbs-filter" not in paths


def test_selinux_is_told() -> None:
    plan = feed(with_files(**{rsyslog.SELINUX: "SELINUX=enforcing\n"}))
    assert any("/usr/libexec/rsyslog" in line for line in plan.manual_steps)


# ---------------------------------------------------------------------- syslog-ng


def test_the_log_path_names_the_source_of_this_machine() -> None:
    conf = FILES[syslog_ng.MAIN].replace("s_src", "s_local") + "# source s_old { system(); };\n"
    plan = syslog_ng.plan(with_files(**{syslog_ng.MAIN: conf}), SHIPPED)
    assert "source(s_local);" in after(plan, "/etc/syslog-ng/conf.d/pbs-filter.conf")


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        (FILES[syslog_ng.MAIN] + "source s_2 { unix-dgram(/dev/log); };\n", "has 2 sources"),
        (FILES[syslog_ng.MAIN].replace("system();", "file(x);"), "has 0 sources .*none"),
        ("source s_src { system(); };\n", "includes no directory"),
    ],
)
def test_where_the_source_is_not_clear_it_is_left(conf: str, words: str) -> None:
    plan = syslog_ng.plan(with_files(**{syslog_ng.MAIN: conf}), SHIPPED)
    assert "/etc/syslog-ng/conf.d/pbs-filter.conf" not in [c.path for c in plan.changes]
    assert re.search(words, plan.manual_steps[0])


def test_the_block_of_the_package_is_not_defined_again() -> None:
    known = with_files(**{syslog_ng.BLOCK: SHIPPED[syslog_ng.PLUGIN]})
    made_file = after(syslog_ng.plan(known, SHIPPED), "/etc/syslog-ng/conf.d/pbs-filter.conf")
    assert SHIPPED["syslog-ng/log-path.conf"] == made_file


DROP_IN = "/etc/syslog-ng/conf.d/pbs-filter.conf"
WITH_MODULE = {" ".join(syslog_ng.VERSION): "Available-Modules: afprog,mod-python.cpython-311,cef"}


def by_word(known: Machine, word: str) -> Plan:
    (feed,) = [each for each in run.chosen_of([word, "postfix"], known) if each.kind != "MTA"]
    assert word == feed.word
    plan = run.plan_of(known, [feed])
    assert not plan.changes or f"--setup {word} --apply" in render.plan(known, plan, [feed])
    return plan


@pytest.mark.parametrize(
    ("module", "there", "word", "confirmed"),
    [
        (True, "", "syslog-ng", True),
        (False, "", "syslog-ng", False),
        (True, "", syslog_ng.BY_PIPE, False),
        (False, "", syslog_ng.WITH_ANSWERS, True),
        # What is set up stays as it is, until the other is asked for.
        (True, syslog_ng.BY_PIPE, "syslog-ng", False),
        (False, syslog_ng.WITH_ANSWERS, "syslog-ng", True),
        (True, syslog_ng.BY_PIPE, syslog_ng.WITH_ANSWERS, True),
        (True, syslog_ng.WITH_ANSWERS, syslog_ng.BY_PIPE, False),
    ],
)
def test_syslog_ng_answers_for_each_line_where_it_can_or_is_asked_to(
    module: bool, there: str, word: str, confirmed: bool
) -> None:
    known = machine(answers=WITH_MODULE if module else {})
    if there:
        known = made(known, by_word(known, there))
    plan = by_word(known, word)
    known = made(known, plan)
    assert confirmed == syslog_ng.is_confirmed(known)
    assert ("each line is answered" == syslog_ng.answers(known)) == confirmed
    assert there or confirmed == (syslog_ng.DESTINATION in known.files)
    assert confirmed == ("block destination pbs-filter-confirmed(" in known.files[DROP_IN])
    assert confirmed == (syslog_ng.QUEUE in [each.path for each in plan.directories])
    assert confirmed == (syslog_ng.VERSION in [check.argv for check in plan.checks])
    needs = any(syslog_ng.INSTALL_MODULE in line for line in (*plan.manual_steps, *plan.notes))
    assert needs == (not module)
    other = syslog_ng.BY_PIPE if confirmed else syslog_ng.WITH_ANSWERS
    assert any(f"{PROGRAM} --setup {other}" in note for note in plan.notes)
    said = dict(syslog_ng.facts(known))
    assert ("there" if module else "missing") == said["Python module"]
    # By hand it is the same files.
    assert () == run.plan_of(known, chosen("syslog-ng")).changes


@pytest.mark.parametrize(("number", "claims"), [("3.38.1", False), ("4.8.1", True), ("", False)])
def test_the_disk_buffer_claims_its_room_where_syslog_ng_can(number: str, claims: bool) -> None:
    known = machine(versions={**VERSIONS, "syslog-ng": number})
    text = after(by_word(known, syslog_ng.WITH_ANSWERS), DROP_IN)
    assert claims == ("prealloc(yes)" in re.sub("#.*", "", text))


def test_of_the_two_ways_of_syslog_ng_one_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="one syslog daemon at a time"):
        run.chosen_of(["syslog-ng", syslog_ng.BY_PIPE], machine())


def test_the_confirmed_way_uses_the_block_of_the_package() -> None:
    known = with_files(**{syslog_ng.BLOCK: SHIPPED[syslog_ng.PLUGIN]})
    text = after(by_word(known, syslog_ng.WITH_ANSWERS), DROP_IN)
    assert "block filter pbs-filter-programs" not in text
    assert "block destination pbs-filter-confirmed(" in text


def test_where_the_source_is_not_clear_the_confirmed_way_is_told() -> None:
    known = with_files(**{syslog_ng.MAIN: "source s_src { system(); };\n"})
    plan = by_word(known, syslog_ng.WITH_ANSWERS)
    assert any("your source and pbs-filter-confirmed() in" in line for line in plan.manual_steps)


def test_an_older_syslog_ng_and_its_apparmor_profile_are_told() -> None:
    known = dataclasses.replace(
        with_files(**{syslog_ng.PROFILES[0]: "x"}), versions={"syslog-ng": "3.28.1"}
    )
    plan = syslog_ng.plan(known, SHIPPED)
    assert any("older than 3.38" in line for line in plan.notes)
    assert any("AppArmor has a profile" in line for line in plan.manual_steps)


# ---------------------------------------------------------------------- Postfix


CHECK = "check_client_access socketmap:unix:private/pbs:pbs"
SHIPPED_MAIN = SHIPPED["examples/postfix/main.cf"]


def restrictions(main: str) -> list[str]:
    """The words of the list that Postfix would see."""
    (found,) = [(b, e) for name, b, e in postfix.settings_of(main) if name == postfix.LIST]
    return [word for _, word in postfix._words(main, *found)]


@pytest.mark.parametrize(
    "main",
    [
        MAIN_CF,
        "",
        "a = b",
        "smtpd_relay_restrictions =\n  permit_mynetworks,\n# reject_unauth_destination\n"
        "  permit_auth_destination,\n\n  reject_unauth_destination\nb = c\n",
        "smtpd_relay_restrictions=permit_mynetworks,reject\n",
        "pbs_time_limit = 10\nsmtpd_relay_restrictions = reject_unauth_destination, permit\n",
    ],
)
def test_postfix_asks_behind_its_own_recipients_and_before_it_refuses(main: str) -> None:
    changed = postfix.with_check(main, SHIPPED_MAIN)
    words = restrictions(changed)
    at = words.index(CHECK.split()[1])
    assert "permit_auth_destination" in words[:at]
    assert words[at + 1] in postfix.CLOSES
    assert set(restrictions(main) if postfix.LIST in main else []) <= set(words)
    names = [name for name, _, _ in postfix.settings_of(changed)]
    assert 1 == names.count("pbs_time_limit") == names.count(postfix.LIST)
    assert changed == postfix.with_check(changed, SHIPPED_MAIN)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("permit_mynetworks, $mine, reject_unauth_destination", r"has '\$mine' in it"),
        ("check_policy_service { unix:x, timeout=1s }, reject_unauth_destination", "has '{' in it"),
        ("permit_mynetworks", "it may relay for everybody"),
        ("permit_mynetworks, permit, reject", "it relays for everybody"),
        ("reject_unauth_destination, check_policy_service unix:grey", "would then skip"),
        ("reject\nsmtpd_relay_restrictions = reject", "2 times"),
    ],
)
def test_what_is_not_safe_to_edit_is_left_with_what_to_write(value: str, why: str) -> None:
    main = f"smtpd_relay_restrictions = {value}\n"
    with pytest.raises(postfix.NotSafe, match=why):
        postfix.with_check(main, SHIPPED_MAIN)
    plan = postfix.plan(with_files(**{postfix.MAIN: main}), SHIPPED)
    assert [postfix.MASTER] == [change.path for change in plan.changes]
    assert any(CHECK in line for line in plan.manual_steps)
    assert [("postfix", "check")] == [check.argv for check in plan.checks]


def test_a_service_of_that_name_that_is_not_ours_is_left() -> None:
    master = FILES[postfix.MASTER] + "pbs unix - n n - 0 spawn\n  user=x argv=/bin/other\n"
    plan = postfix.plan(with_files(**{postfix.MASTER: master}), SHIPPED)
    assert postfix.MASTER not in [change.path for change in plan.changes]
    assert any("does not run /usr/local/bin/pbs-lookup" in line for line in plan.manual_steps)


def test_without_postfixs_files_it_says_where_ours_are() -> None:
    plan = postfix.plan(with_files(postfix.MAIN, postfix.MASTER), SHIPPED)
    assert () == plan.changes
    assert any("examples/postfix/main.cf" in line for line in plan.manual_steps)


def test_a_second_list_that_refuses_is_told() -> None:
    answers = {postfix.RECIPIENT: "permit_mynetworks, reject_unauth_destination"}
    plan = postfix.plan(machine(answers=answers), SHIPPED)
    assert any("smtpd_recipient_restrictions refuses" in line for line in plan.manual_steps)


@pytest.mark.parametrize(
    ("mynetworks", "wide"),
    [
        ("127.0.0.0/8 [::1]/128 192.0.2.0/24 10.0.0.0/8", []),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("127.0.0.0/8, [::]/0 192.0.0.0/4", ["::/0", "192.0.0.0/4"]),
        ("[2001:db8::]/32 192.0.2.7", []),
    ],
)
def test_networks_that_strangers_are_in_are_an_open_relay(mynetworks: str, wide: list[str]) -> None:
    assert wide == postfix.open_networks(mynetworks)
    plan = postfix.plan(machine(answers={postfix.MYNETWORKS: mynetworks}), SHIPPED)
    assert bool(wide) == any(line.startswith("OPEN RELAY") for line in plan.manual_steps)


def test_what_mynetworks_has_and_we_do_not_read_is_told() -> None:
    answers = {postfix.MYNETWORKS: "127.0.0.0/8 cidr:/etc/postfix/nets"}
    assert "cidr:/etc/postfix/nets" in postfix.plan(machine(answers=answers), SHIPPED).notes[0]


# ---------------------------------------------------------------------- the other MTAs


def test_exims_one_file_configuration_is_edited_where_it_is_used() -> None:
    debconf = FILES[exim.DEBCONF].replace("'true'", "'false'")
    known = with_files(**{exim.DEBCONF: debconf, exim.WHOLE: "a\n" + exim.REFUSES})
    changed = after(exim.plan(known, SHIPPED), exim.WHOLE)
    assert changed.index(exim.INCLUDE) < changed.index(exim.REFUSES)


@pytest.mark.parametrize(
    "known",
    [
        with_files(exim.DEBCONF),
        with_files(**{exim.OWN: "acl_smtp_rcpt = mine\n"}),
        with_files(**{exim.SPLIT: "  accept\n"}),
    ],
    ids=["not Debian's", "one of its own", "changed"],
)
def test_another_exim_configuration_is_left(known: Machine) -> None:
    plan = exim.plan(known, SHIPPED)
    assert not {exim.SPLIT, exim.WHOLE} & {change.path for change in plan.changes}
    assert any(".include /etc/exim4/pbs-filter.acl" in line for line in plan.manual_steps)


def test_an_exim_configuration_that_includes_us_already_is_content() -> None:
    known = with_files(**{exim.SPLIT: exim.INCLUDE + "  deny\n"})
    plan = exim.plan(known, SHIPPED)
    assert () == plan.manual_steps
    assert exim.SPLIT not in [change.path for change in plan.changes]


def test_exims_relay_networks_are_local_networks() -> None:
    settings = exim.plan(machine(), SHIPPED).settings
    assert ["127.0.0.0/8", "::1/128", "192.0.2.0/24", "198.51.100.7"] == settings["local_networks"]
    known = with_files(**{exim.DEBCONF: "dc_relay_nets='/etc/nets'\n"})
    assert "/etc/nets" in exim.plan(known, SHIPPED).notes[0]


def test_the_service_belongs_to_the_group_that_asks() -> None:
    for mta, group in (("exim", "Debian-exim"), ("sendmail", "smmta")):
        unit = after(ALL[mta].plan(machine(), SHIPPED), f"{lookup_unit.UNITS}/pbs-lookup.socket")
        assert f"SocketGroup={group}\n" in unit
        plan = ALL[mta].plan(machine(systemd=False), SHIPPED)
        assert any(f"serve --user=pbs-lookup --group={group}" in line for line in plan.manual_steps)


def test_a_service_is_restarted_by_the_program_that_is_there() -> None:
    assert "systemctl restart rsyslog" == machine().restart("rsyslog")
    bare = machine(systemd=False)
    assert "service rsyslog reload" == bare.restart("rsyslog", "reload")
    bare = machine(systemd=False, service_program="")
    assert bare.restart("rsyslog").startswith("restart rsyslog by hand: this machine has no")


def test_a_sendmail_with_the_same_ruleset_is_left() -> None:
    known = with_files(**{sendmail.MAIN: "LOCAL_RULESETS\nSLocal_check_rcpt\n"})
    plan = sendmail.plan(known, SHIPPED)
    assert sendmail.MAIN not in [change.path for change in plan.changes]
    assert any("Local_check_rcpt of its own" in line for line in plan.manual_steps)


def test_sendmail_mcs_last_line_is_the_include_of_the_readme() -> None:
    readme = (CHECKOUT / "examples/sendmail/README.md").read_text()
    assert sendmail.INCLUDE in readme
    known = with_files(**{sendmail.MAIN: "MAILER(`smtp')dnl"})
    assert f"dnl\n{sendmail.INCLUDE}" in after(sendmail.plan(known, SHIPPED), sendmail.MAIN)


@pytest.mark.parametrize(
    "conf",
    [
        'action "a" relay\naction "b" relay\n',
        "",
        'action "r" relay\nmatch from any for any reject\n',
    ],
)
def test_where_smtpd_conf_has_no_one_place_it_is_left(conf: str) -> None:
    plan = opensmtpd.plan(with_files(**{opensmtpd.MAIN: conf}), SHIPPED)
    assert opensmtpd.MAIN not in [change.path for change in plan.changes]
    assert any("put the two lines" in line for line in plan.manual_steps)


def test_opensmtpds_rule_uses_the_relay_action_that_is_there() -> None:
    known = with_files(**{opensmtpd.MAIN: "action outbound relay host smtp://x\n"})
    changed = after(opensmtpd.plan(known, SHIPPED), opensmtpd.MAIN)
    assert 'match from src <pbs> for any action "outbound"' in changed


def test_an_older_opensmtpd_gets_the_file_that_is_exported() -> None:
    plan = opensmtpd.plan(machine(versions={"opensmtpd": "6.8.0p2"}), SHIPPED)
    assert () == plan.changes
    assert "smtpd-6.8.conf" in plan.manual_steps[0]


@pytest.mark.parametrize("text_", [None, "PORT=465\n", 'PORT="smtp xy"\n'])
def test_another_courier_port_is_left(text_: str | None) -> None:
    known = with_files(
        *([courier.MAIN] if text_ is None else []),
        **({} if text_ is None else {courier.MAIN: text_}),
    )
    plan = courier.plan(known, SHIPPED)
    assert () == plan.changes
    assert "PORT is not smtp" in plan.manual_steps[0]


def test_courier_is_told_of_a_map_elsewhere() -> None:
    known = machine(map="/srv/map.gdbm")
    changed = after(courier.plan(known, SHIPPED), courier.MAIN)
    assert 'PORT="smtp /usr/local/bin/pbs-lookup relaylock --map=/srv/map.gdbm --keep' in changed


# ---------------------------------------------------------------------- what is printed


def test_the_machine_is_described_with_what_its_mail_log_shows() -> None:
    seen = LogSummary(path="/var/log/mail.log", lines=9, logins={"dovecot": 3}, unread={"imapd": 2})
    said = render.inventory(machine(log=seen, running=frozenset({"postfix"})), [])
    assert "postfix 3.7.11 (runs)" in said
    assert "/var/log/mail.log, last 9 lines: logins: dovecot 3" in said
    assert "lines that no rule reads: imapd 2" in said
    said = render.inventory(machine(versions={}, log=LogSummary(path="/l", lines=1)), [])
    assert "none that pbs-filter works behind" in said
    assert "logins: none" in said


def test_at_the_usual_path_nothing_is_swapped_in_the_copies() -> None:
    known = machine(program=PROGRAM_OF_THE_READMES, lookup=LOOKUP_OF_THE_READMES)
    said = render.plan(known, plan_of(known, "syslog-ng", "qmail"), chosen("syslog-ng", "qmail"))
    place = f"{known.share}/syslog-ng"
    assert (
        f"cat {place}/pbs-filter/plugin.conf {place}/log-path.conf > "
        "/etc/syslog-ng/conf.d/pbs-filter.conf\n"
    ) in said
    assert "\n    cp " in said


def test_without_anything_to_check_there_is_no_such_step() -> None:
    known = machine()
    said = render.plan(known, plan_of(known, "qmail"), chosen("qmail"))
    assert "Then check it" not in said


def test_what_confines_the_daemons_is_said() -> None:
    known = with_files(**{rsyslog.PROFILE: "x", postfix.MASTER: "smtp inet n - y - - smtpd\n"})
    both = chosen("rsyslog", "postfix")
    said = render.inventory(known, both)
    assert "confines rsyslogd: /etc/apparmor.d/usr.sbin.rsyslogd" in said
    assert "in its chroot" in said
    assert "drop-ins       /etc/rsyslog.d\n" in said
    said = render.inventory(with_files(**{postfix.MASTER: "smtp inet n - n - - smtpd\n"}), both)
    assert "AppArmor" not in said
    assert "chroot" not in said


def test_what_is_done_already_is_said() -> None:
    known = machine()
    plan = plan_of(known, "rsyslog", "postfix")
    known = made(known, plan)
    said = render.plan(known, plan_of(known, "rsyslog", "postfix"), chosen("rsyslog", "postfix"))
    assert "Every file is as it should be." in said
    assert "Nothing was changed" not in said


def test_a_line_without_an_end_is_seen_in_the_difference() -> None:
    from pbs_filter.integrations.plan import Change

    change = Change(path="/x", before="a", after="a\nb\n", why="")
    assert "-a\n\\ no newline at the end\n+a\n+b\n" in render.diff(change)


def test_commands_are_quoted_for_a_shell() -> None:
    words = ["sh", "-c", "it's $x", "/a=b"]
    said = render.quoted(words)
    assert (
        words
        == subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {said}"], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.splitlines()
    )


def test_of_daemons_that_were_not_chosen_nothing_is_said() -> None:
    known = with_files(**{rsyslog.PROFILE: "x", postfix.MASTER: "smtp inet n - y - - smtpd\n"})
    said = render.inventory(known, chosen("syslog-ng", "exim"))
    for word in ("/etc/rsyslog.d", "AppArmor", "mynetworks", "chroot"):
        assert word not in said
    assert "drop-ins       /etc/syslog-ng/conf.d\n" in said


def test_a_long_new_file_is_shown_by_its_source() -> None:
    plan = plan_of(machine(), "rsyslog", "postfix")
    shown = [render.applied(change, "/share") for change in plan.changes]
    (drop_in,) = [text for text in shown if "10-pbs-filter.conf" in text]
    assert drop_in.count("\n") == 1
    assert "from /share/rsyslog/pbs-filter.conf" in drop_in
    assert all("@@" in text for text in shown if text != drop_in)


# ---------------------------------------------------------------------- systemd's journal


def test_the_journal_is_taken_where_there_is_no_syslog_daemon() -> None:
    known = machine(versions={"journal": "257", "postfix": "3.10"})
    assert ["journal", "postfix"] == [each.name for each in run.chosen_of([], known)]
    known = machine(versions={"journal": "257", "rsyslog": "8.2504"})
    assert ["rsyslog"] == [each.name for each in run.chosen_of([], known)]
    set_up = {journal.UNIT: "x", journal.ENABLED: "x"}
    known = dataclasses.replace(known, files={**FILES, **set_up})
    assert ["journal"] == [each.name for each in run.chosen_of([], known)]


def test_the_journals_unit_has_this_machines_paths() -> None:
    plan = plan_of(machine(state="/srv/pbs"), "journal", "postfix")
    unit = after(plan, journal.UNIT)
    assert f"exec {PROGRAM} --confirm=no" in unit
    assert "cursor=/srv/pbs/journal-cursor" in unit
    assert "/var/lib/pbs-filter" not in unit
    assert "systemctl enable --now pbs-filter-journal" in plan.restart_commands
    assert tomllib.loads(after(plan, SETTINGS))["require_vouched"]


def test_the_packages_unit_of_the_journal_is_not_copied() -> None:
    plan = plan_of(with_files(**{journal.PACKAGED: "x"}), "journal", "postfix")
    assert journal.UNIT not in [change.path for change in plan.changes]


def test_without_systemd_there_is_no_journal() -> None:
    plan = journal.plan(machine(systemd=False), SHIPPED)
    assert ("systemd does not run here, so that there is no journal to read",) == plan.manual_steps


def test_a_sendmail_on_a_host_without_a_full_name_is_told_why_it_waits() -> None:
    plan = sendmail.plan(machine(host="mx1"), SHIPPED)
    assert any("this host is called 'mx1', without a domain" in s for s in plan.manual_steps)
    assert "waits a minute" in plan.checks[0].hint
    assert not sendmail.plan(machine(), SHIPPED).checks[0].hint
    assert "systemctl restart sendmail" in plan.restart_commands


# ---------------------------------------------------------------------- one more


def test_one_more_mta_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by its name, planned, and looked at by --doctor, without a list anywhere."""
    from pbs_filter import integrations as package

    (tmp_path / "acme.py").write_text(
        "from .integration import Mta\n"
        "from .lookups import does_not_ask, untried\n"
        "from .plan import Plan\n"
        "INTEGRATION = Mta(\n"
        '    name="acme",\n'
        '    plan=lambda machine, shipped: Plan(settings={"group": "acme"}),\n'
        '    lookups=lambda machine: does_not_ask("acme", "it never does"),\n'
        '    untried=untried("acme"),\n'
        ")\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    package.integrations.cache_clear()
    try:
        known = machine(versions={"rsyslog": "8.2504.0", "acme": "1"})
        names = [each.name for each in run.chosen_of([], known)]
        assert ["rsyslog", "acme"] == names
        plan = run.plan_of(known, run.chosen_of(names, known))
        assert "acme" == tomllib.loads(after(plan, SETTINGS))["group"]
        assert "acme does not ask: it never does" == mtas()["acme"].lookups(known).text  # type: ignore[union-attr]
    finally:
        package.integrations.cache_clear()
        sys.modules.pop("pbs_filter.integrations.acme", None)
