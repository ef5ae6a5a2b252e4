"""What --setup decides: for every daemon and MTA, and for machines that are not as usual."""

from __future__ import annotations

import dataclasses
import itertools
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter import cli
from pbs_filter.config.load import build
from pbs_filter.config.options import DEFAULT_PATH
from pbs_filter.errors import ConfigError
from pbs_filter.integrations import mtas, postfix, rsyslog, syslog_ng
from pbs_filter.integrations.machine import DAEMONS, MTAS, Machine, Seen, choose, version
from pbs_filter.integrations.plan import ACCOUNT, Plan, finished, with_settings
from pbs_filter.setup import render, run, shipped

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = shipped.texts(run.SHIPPED)
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
    mtas.EXIM_DEBCONF: "dc_use_split_config='true'\ndc_relay_nets='192.0.2.0/24 ; 198.51.100.7'\n",
    mtas.EXIM_SPLIT: "  accept hosts = +relay_from_hosts\n\n" + mtas.EXIM_REFUSES,
    mtas.SENDMAIL: "MAILER(`smtp')dnl\n",
    mtas.OPENSMTPD: 'action "relay" relay\nmatch from local for any action "relay"\n',
    mtas.COURIER: "PORT=smtp\nESMTPDSTART=YES\n",
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


def after(plan: Plan, path: str) -> str:
    return next(change.after for change in plan.changes if change.path == path)


# ---------------------------------------------------------------------- every pair


@pytest.mark.parametrize(("daemon", "mta"), PAIRS)
def test_every_pair_has_a_plan_that_is_done_once(daemon: str, mta: str) -> None:
    known = machine()
    plan = run.plan_of(known, [daemon, mta])
    paths = [change.path for change in plan.changes]
    assert len(set(paths)) == len(paths)
    assert ACCOUNT in plan.accounts
    assert plan.then
    again = run.plan_of(made(known, plan), [daemon, mta])
    assert () == again.changes
    assert () == again.accounts
    assert plan.left == again.left


@pytest.mark.parametrize(("daemon", "mta"), PAIRS)
def test_every_pair_names_this_machines_paths_and_no_others(daemon: str, mta: str) -> None:
    known = machine()
    plan = run.plan_of(known, [daemon, mta])
    said = render.shown(known, plan, [daemon, mta])
    for change in plan.changes:
        assert "/opt/pbs-filter" not in re.sub(r"(?m)^#.*$", "", change.after)
        assert change.path in said
    for line in (*plan.left, *plan.then):
        assert line in said
    assert f"--setup {daemon} {mta} --apply" in said
    assert "/opt/pbs-filter" not in re.sub(r"(?m)^ *\S*#.*$|s\|/opt/\S*", "", said)


@pytest.mark.parametrize(("daemon", "mta"), PAIRS)
def test_the_commands_it_prints_make_the_same_files(daemon: str, mta: str, tmp_path: Path) -> None:
    known = machine(map="/srv/pbs & co/map|x", state="/srv/pbs & co")
    plan = run.plan_of(known, [daemon, mta])
    new = [change for change in plan.changes if change.before is None]
    assert new
    said = render.shown(known, plan, [daemon, mta])
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
    plan = run.plan_of(machine(), [daemon, mta])
    config = build({DEFAULT_PATH: after(plan, DEFAULT_PATH)})
    assert config.require_vouched
    assert ACCOUNT == config.user
    group = {"opensmtpd": "opensmtpd", "courier": "courier"}.get(mta, ACCOUNT)
    assert group == config.group
    (place,) = plan.directories
    assert ("/var/lib/pbs-filter", ACCOUNT, group, 0o750) == dataclasses.astuple(place)


def test_without_a_daemon_or_an_mta_it_says_what_is_missing() -> None:
    left = run.plan_of(machine(), []).left
    assert any("examples/systemd/README.md" in line for line in left)
    assert any("nobody asks the map" in line for line in left)


# ---------------------------------------------------------------------- which are meant


@pytest.mark.parametrize(
    ("names", "running", "chosen"),
    [
        (["rsyslogd", "Exim4"], (), ["rsyslog", "exim"]),
        ([], ("syslog-ng", "postfix"), ["syslog-ng", "postfix"]),
        (["courier"], ("rsyslog",), ["rsyslog", "courier"]),
    ],
)
def test_what_is_not_named_is_what_runs(
    names: list[str], running: tuple[str, ...], chosen: list[str]
) -> None:
    assert chosen == run.chosen_of(names, machine(running=frozenset(running)))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["rsyslog"], "postfix and exim and .* are installed: say which MTA: --setup postfix"),
        (["rsyslog", "syslog-ng"], "rsyslog and syslog-ng: one syslog daemon at a time"),
        (["rsyslog", "postfix", "posfix"], "unknown name 'posfix'. Did you mean 'postfix'"),
    ],
)
def test_what_is_not_clear_is_asked_for(names: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run.chosen_of(names, machine())


def test_the_help_names_all_of_them() -> None:
    assert "|".join((*DAEMONS, *MTAS)) in cli.parser().format_help()


def test_several_that_run_are_not_clear_either() -> None:
    with pytest.raises(ValueError, match="exim and sendmail run: say which MTA"):
        choose(machine(running=frozenset({"exim", "sendmail"})), MTAS, "MTA")


def test_where_nothing_is_installed_nothing_is_chosen() -> None:
    assert [] == run.chosen_of([], machine(versions={}))


def test_versions_are_compared_as_numbers() -> None:
    assert (8, 2302, 0) == version("8.2302.0")
    assert (7, 6, 0) == version("7.6.0p1")
    assert () == version("(version unknown)")


# ---------------------------------------------------------------------- pbs-filter.toml


def test_settings_go_to_the_top_of_a_file_with_tables() -> None:
    there = '# mine\ngrace_seconds = 600\n[[export]]\nformat = "cidr"\npath = "/x"\n'
    changed, other = with_settings(there, {"user": "pbs-filter", "grace_seconds": 600})
    assert [] == other
    assert changed.endswith("\n" + there)
    assert {"user": "pbs-filter"} | tomllib.loads(there) == tomllib.loads(changed)


def test_a_setting_of_the_operators_own_is_left_and_told() -> None:
    known = with_files(**{DEFAULT_PATH: 'user = "mail"\n'})
    plan = run.plan_of(known, ["rsyslog", "postfix"])
    assert "mail" == tomllib.loads(after(plan, DEFAULT_PATH))["user"]
    assert any('right here is: user = "pbs-filter"' in line for line in plan.left)


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
    (place,) = run.plan_of(with_files(**{DEFAULT_PATH: there}), names).directories
    assert expected == place.owner


def test_without_a_syslog_daemon_both_ways_are_told() -> None:
    plan = run.plan_of(machine(), ["exim"])
    assert any("install rsyslog" in line and "systemd/README.md" in line for line in plan.left)


def test_a_file_that_is_not_toml_is_left() -> None:
    plan = run.plan_of(with_files(**{DEFAULT_PATH: "user = \n"}), ["rsyslog", "postfix"])
    assert DEFAULT_PATH not in [change.path for change in plan.changes]
    assert any("is not TOML" in line for line in plan.left)


@given(st.dictionaries(st.sampled_from(["user", "group", "map"]), st.sampled_from("xyz")))
def test_what_was_set_stays_set(there: dict[str, str]) -> None:
    before = "".join(f'{key} = "{value}"\n' for key, value in there.items())
    wanted = {"user": "x", "group": "y"}
    changed, other = with_settings(before, wanted)
    assert {**wanted, **there} == tomllib.loads(changed)
    assert [key for key in wanted if there.get(key, wanted[key]) != wanted[key]] == other


def test_a_program_that_other_accounts_cannot_reach_is_told() -> None:
    plan = run.plan_of(machine(closed="/root"), ["rsyslog", "postfix"])
    assert any(line.startswith("/root may be entered by its owner only") for line in plan.left)


# ---------------------------------------------------------------------- rsyslog


def feed(known: Machine) -> Plan:
    return finished(rsyslog.plan(known, SHIPPED), known)


def test_the_drop_in_goes_where_rsyslog_conf_includes() -> None:
    known = with_files(**{rsyslog.MAIN: 'include(file="/etc/rsyslog/d/*.conf" mode="optional")\n'})
    assert "/etc/rsyslog/d/10-pbs-filter.conf" in [c.path for c in feed(known).changes]
    plan = feed(with_files(rsyslog.MAIN))
    assert any("includes no directory" in line for line in plan.left)
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
        assert any("settings of its own" in line for line in plan.left)
        assert "require_vouched" not in plan.settings


def test_journald_must_forward() -> None:
    plan = feed(with_files(**{rsyslog.JOURNALD: "[Journal]\nForwardToSyslog=no\n"}))
    assert any("ForwardToSyslog=no" in line for line in plan.left)


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
    assert "systemctl daemon-reload" in plan.then
    plan = feed(with_files(**{rsyslog.UNITS[0]: "CapabilityBoundingSet=CAP_SETUID\n"}))
    assert rsyslog.SANDBOX not in [change.path for change in plan.changes]


def test_where_rsyslogd_is_somebody_else_so_is_the_filter() -> None:
    conf = FILES[rsyslog.MAIN] + "$PrivDropToUser syslog\n"
    known = with_files(**{rsyslog.MAIN: conf})
    plan = run.plan_of(known, ["rsyslog", "courier"])
    (place,) = plan.directories
    assert ("/var/lib/pbs-filter", "syslog", "courier", 0o2750) == dataclasses.astuple(place)
    settings = tomllib.loads(after(plan, DEFAULT_PATH))
    assert "user" not in settings
    assert "group" not in settings
    assert any("rsyslogd runs as syslog" in line for line in plan.notes)


def test_without_logrotate_nothing_is_put_there() -> None:
    for daemon in DAEMONS:
        plan = run.plan_of(machine(directories=frozenset()), [daemon])
        assert f"{rsyslog.LOGROTATE}/pbs-filter" not in [change.path for change in plan.changes]


def test_a_rotation_that_is_there_is_left() -> None:
    known = with_files(**{f"{rsyslog.LOGROTATE}/pbs-filter": "/var/log/pbs-filter.log {\n}\n"})
    for daemon in DAEMONS:
        paths = [change.path for change in run.plan_of(known, [daemon]).changes]
        assert f"{rsyslog.LOGROTATE}/pbs-filter" not in paths


def test_selinux_is_told() -> None:
    plan = feed(with_files(**{rsyslog.SELINUX: "SELINUX=enforcing\n"}))
    assert any("/usr/libexec/rsyslog" in line for line in plan.left)


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
    assert re.search(words, plan.left[0])


def test_the_block_of_the_package_is_not_defined_again() -> None:
    known = with_files(**{syslog_ng.BLOCK: SHIPPED[syslog_ng.SHIPPED[0]]})
    made_file = after(syslog_ng.plan(known, SHIPPED), "/etc/syslog-ng/conf.d/pbs-filter.conf")
    assert SHIPPED["syslog-ng/log-path.conf"] == made_file


def test_an_older_syslog_ng_and_its_apparmor_profile_are_told() -> None:
    known = dataclasses.replace(
        with_files(**{syslog_ng.PROFILES[0]: "x"}), versions={"syslog-ng": "3.28.1"}
    )
    plan = syslog_ng.plan(known, SHIPPED)
    assert any("older than 3.38" in line for line in plan.notes)
    assert any("AppArmor has a profile" in line for line in plan.left)


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
    assert any(CHECK in line for line in plan.left)
    assert [("postfix", "check")] == [check.argv for check in plan.checks]


def test_a_service_of_that_name_that_is_not_ours_is_left() -> None:
    master = FILES[postfix.MASTER] + "pbs unix - n n - 0 spawn\n  user=x argv=/bin/other\n"
    plan = postfix.plan(with_files(**{postfix.MASTER: master}), SHIPPED)
    assert postfix.MASTER not in [change.path for change in plan.changes]
    assert any("does not run /usr/local/bin/pbs-lookup" in line for line in plan.left)


def test_without_postfixs_files_it_says_where_ours_are() -> None:
    plan = postfix.plan(with_files(postfix.MAIN, postfix.MASTER), SHIPPED)
    assert () == plan.changes
    assert any("examples/postfix/main.cf" in line for line in plan.left)


def test_a_second_list_that_refuses_is_told() -> None:
    answers = {postfix.COMMANDS[1]: "permit_mynetworks, reject_unauth_destination"}
    plan = postfix.plan(machine(answers=answers), SHIPPED)
    assert any("smtpd_recipient_restrictions refuses" in line for line in plan.left)


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
    assert bool(wide) == any(line.startswith("OPEN RELAY") for line in plan.left)


def test_what_mynetworks_has_and_we_do_not_read_is_told() -> None:
    answers = {postfix.MYNETWORKS: "127.0.0.0/8 cidr:/etc/postfix/nets"}
    assert "cidr:/etc/postfix/nets" in postfix.plan(machine(answers=answers), SHIPPED).notes[0]


# ---------------------------------------------------------------------- the other MTAs


def test_exims_one_file_configuration_is_edited_where_it_is_used() -> None:
    debconf = FILES[mtas.EXIM_DEBCONF].replace("'true'", "'false'")
    known = with_files(**{mtas.EXIM_DEBCONF: debconf, mtas.EXIM_WHOLE: "a\n" + mtas.EXIM_REFUSES})
    changed = after(mtas.exim(known, SHIPPED), mtas.EXIM_WHOLE)
    assert changed.index(mtas.EXIM_INCLUDE) < changed.index(mtas.EXIM_REFUSES)


@pytest.mark.parametrize(
    "known",
    [
        with_files(mtas.EXIM_DEBCONF),
        with_files(**{mtas.EXIM_OWN: "acl_smtp_rcpt = mine\n"}),
        with_files(**{mtas.EXIM_SPLIT: "  accept\n"}),
    ],
    ids=["not Debian's", "one of its own", "changed"],
)
def test_another_exim_configuration_is_left(known: Machine) -> None:
    plan = mtas.exim(known, SHIPPED)
    assert not {mtas.EXIM_SPLIT, mtas.EXIM_WHOLE} & {change.path for change in plan.changes}
    assert any(".include /etc/exim4/pbs-filter.acl" in line for line in plan.left)


def test_an_exim_configuration_that_includes_us_already_is_content() -> None:
    known = with_files(**{mtas.EXIM_SPLIT: mtas.EXIM_INCLUDE + "  deny\n"})
    plan = mtas.exim(known, SHIPPED)
    assert () == plan.left
    assert mtas.EXIM_SPLIT not in [change.path for change in plan.changes]


def test_exims_relay_networks_are_local_networks() -> None:
    settings = mtas.exim(machine(), SHIPPED).settings
    assert ["127.0.0.0/8", "::1/128", "192.0.2.0/24", "198.51.100.7"] == settings["local_networks"]
    known = with_files(**{mtas.EXIM_DEBCONF: "dc_relay_nets='/etc/nets'\n"})
    assert "/etc/nets" in mtas.exim(known, SHIPPED).notes[0]


def test_the_service_belongs_to_the_group_that_asks() -> None:
    for mta, group in (("exim", "Debian-exim"), ("sendmail", "smmta")):
        unit = after(mtas.PLANS[mta](machine(), SHIPPED), f"{mtas.UNITS}/pbs-lookup.socket")
        assert f"SocketGroup={group}\n" in unit
        plan = mtas.PLANS[mta](machine(systemd=False), SHIPPED)
        assert any(f"serve --user=pbs-lookup --group={group}" in line for line in plan.left)


def test_a_sendmail_with_the_same_ruleset_is_left() -> None:
    known = with_files(**{mtas.SENDMAIL: "LOCAL_RULESETS\nSLocal_check_rcpt\n"})
    plan = mtas.sendmail(known, SHIPPED)
    assert mtas.SENDMAIL not in [change.path for change in plan.changes]
    assert any("Local_check_rcpt of its own" in line for line in plan.left)


def test_sendmail_mcs_last_line_is_the_include_of_the_readme() -> None:
    readme = (CHECKOUT / "examples/sendmail/README.md").read_text()
    assert mtas.SENDMAIL_INCLUDE in readme
    known = with_files(**{mtas.SENDMAIL: "MAILER(`smtp')dnl"})
    assert f"dnl\n{mtas.SENDMAIL_INCLUDE}" in after(mtas.sendmail(known, SHIPPED), mtas.SENDMAIL)


@pytest.mark.parametrize(
    "conf",
    [
        'action "a" relay\naction "b" relay\n',
        "",
        'action "r" relay\nmatch from any for any reject\n',
    ],
)
def test_where_smtpd_conf_has_no_one_place_it_is_left(conf: str) -> None:
    plan = mtas.opensmtpd(with_files(**{mtas.OPENSMTPD: conf}), SHIPPED)
    assert mtas.OPENSMTPD not in [change.path for change in plan.changes]
    assert any("put the two lines" in line for line in plan.left)


def test_opensmtpds_rule_uses_the_relay_action_that_is_there() -> None:
    known = with_files(**{mtas.OPENSMTPD: "action outbound relay host smtp://x\n"})
    changed = after(mtas.opensmtpd(known, SHIPPED), mtas.OPENSMTPD)
    assert 'match from src <pbs> for any action "outbound"' in changed


def test_an_older_opensmtpd_gets_the_file_that_is_exported() -> None:
    plan = mtas.opensmtpd(machine(versions={"opensmtpd": "6.8.0p2"}), SHIPPED)
    assert () == plan.changes
    assert "smtpd-6.8.conf" in plan.left[0]


@pytest.mark.parametrize("text_", [None, "PORT=465\n", 'PORT="smtp xy"\n'])
def test_another_courier_port_is_left(text_: str | None) -> None:
    known = with_files(
        *([mtas.COURIER] if text_ is None else []),
        **({} if text_ is None else {mtas.COURIER: text_}),
    )
    plan = mtas.courier(known, SHIPPED)
    assert () == plan.changes
    assert "PORT is not smtp" in plan.left[0]


def test_courier_is_told_of_a_map_elsewhere() -> None:
    known = machine(map="/srv/map.gdbm")
    changed = after(mtas.courier(known, SHIPPED), mtas.COURIER)
    assert 'PORT="smtp /usr/local/bin/pbs-lookup relaylock --map=/srv/map.gdbm --keep' in changed


# ---------------------------------------------------------------------- what is printed


def test_the_machine_is_described_with_what_its_mail_log_shows() -> None:
    seen = Seen(path="/var/log/mail.log", lines=9, logins={"dovecot": 3}, unread={"imapd": 2})
    said = render.found(machine(seen=seen, running=frozenset({"postfix"})))
    assert "postfix 3.7.11 (runs)" in said
    assert "/var/log/mail.log, last 9 lines: logins: dovecot 3" in said
    assert "lines that no rule reads: imapd 2" in said
    said = render.found(machine(versions={}, answers={}, seen=Seen(path="/l", lines=1)))
    assert "none that pbs-filter works behind" in said
    assert "logins: none" in said


def test_at_the_usual_path_nothing_is_swapped_in_the_copies() -> None:
    known = machine(program=PROGRAM_OF_THE_READMES, lookup=LOOKUP_OF_THE_READMES)
    said = render.shown(known, run.plan_of(known, ["syslog-ng", "qmail"]), ["syslog-ng", "qmail"])
    place = f"{known.share}/syslog-ng"
    assert (
        f"cat {place}/pbs-filter/plugin.conf {place}/log-path.conf > "
        "/etc/syslog-ng/conf.d/pbs-filter.conf\n"
    ) in said
    assert "\n    cp " in said


def test_without_anything_to_check_there_is_no_such_step() -> None:
    known = machine()
    said = render.shown(known, run.plan_of(known, ["qmail"]), ["qmail"])
    assert "Then check it" not in said


def test_what_confines_the_daemons_is_said() -> None:
    known = with_files(**{rsyslog.PROFILE: "x", postfix.MASTER: "smtp inet n - y - - smtpd\n"})
    said = render.found(known)
    assert "confines rsyslogd: /etc/apparmor.d/usr.sbin.rsyslogd" in said
    assert "in its chroot" in said
    assert "drop-ins       /etc/rsyslog.d\n" in said
    said = render.found(with_files(**{postfix.MASTER: "smtp inet n - n - - smtpd\n"}))
    assert "AppArmor" not in said
    assert "chroot" not in said


def test_what_is_done_already_is_said() -> None:
    known = machine()
    plan = run.plan_of(known, ["rsyslog", "postfix"])
    known = made(known, plan)
    said = render.shown(known, run.plan_of(known, ["rsyslog", "postfix"]), ["rsyslog", "postfix"])
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
