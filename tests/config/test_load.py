"""The configuration: what is valid, the answer when it is not, and which source wins."""

from __future__ import annotations

from typing import Any

import pytest

from pbs_filter.config.load import build
from pbs_filter.config.options import OPTIONS
from pbs_filter.config.tables import HOLDS_NETWORKS, Export
from pbs_filter.errors import EX_CONFIG, EX_USAGE, ConfigError, UsageError
from pbs_filter.export import exporter
from pbs_filter.export.formats import FORMATS


def test_command_line_over_file_over_default():
    config = build({"f.toml": "grace_seconds = 60\npatience_seconds = 7\n"}, {"grace_seconds": 90})
    assert (90, "command line") == (config.grace_seconds, config.sources["grace_seconds"])
    assert (7, "f.toml") == (config.patience_seconds, config.sources["patience_seconds"])
    assert (43200, "default") == (config.max_session_seconds, config.sources["max_session_seconds"])


def test_a_later_file_replaces_a_value_and_adds_tables_and_the_keys_of_a_table():
    config = build(
        {
            "a": "grace_seconds = 60\ntrusted_accounts = {dovecot = [1], courier = [2]}\n"
            '[[export]]\nformat = "cdb"\npath = "/a"\n',
            "b": "grace_seconds = 90\ntrusted_accounts = {courier = [3]}\n"
            '[[export]]\nformat = "cdb"\npath = "/b"\n',
        }
    )
    assert (90, "b") == (config.grace_seconds, config.sources["grace_seconds"])
    assert {"dovecot": (1,), "courier": (3,)} == config.trusted_accounts
    assert "a, b" == config.sources["trusted_accounts"]
    assert ["/a", "/b"] == [each.path for each in config.export]
    assert "a, b" == config.sources["export"]
    assert ("a", "b") == config.files_read


def test_with_a_map_in_redis_the_hosts_own_files_are_where_local_state_says():
    config = build({"f": 'map = "redis://redis.example"'})
    assert "/var/lib/pbs-filter/redis.journal" == config.journal
    config = build({"f": 'map = "redis://redis.example"\nlocal_state = "/x/r"'})
    assert ("/x/r.journal", "/x/r.lock", "/x/r.control") == (
        config.journal,
        config.lock,
        config.control,
    )


def test_a_filter_that_writes_nothing_has_a_control_socket_of_its_own():
    config = build({"f": 'map = "/x/m"'}, {"write": False})
    assert "/x/m.nowrite.control" == config.control == config.trial_control


def test_the_files_beside_the_map_have_its_name():
    config = build({"f": 'map = "/x/m"'})
    assert ("/x/m.journal", "/x/m.lock", "/x/m.control") == (
        config.journal,
        config.lock,
        config.control,
    )


@pytest.mark.parametrize(
    ("expected", "written"), [(90, "90"), (90, '"90s"'), (5400, '"1h30m"'), (172800, '"2d"')]
)
def test_a_time_has_a_unit_or_is_in_seconds(expected: int, written: str):
    assert expected == build({"f": f"grace_seconds = {written}"}).grace_seconds
    given = {"grace_seconds": written.strip('"')}
    assert expected == build({}, given).grace_seconds


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("local_networks", "192.0.2.0/24, 2001:db8::/32", ("192.0.2.0/24", "2001:db8::/32")),
        ("servers", "dovecot courier", ("dovecot", "courier")),
        ("ipv6_prefix", "64", 64),
        ("write", False, False),
        ("logto", "-", "-"),
        ("confirm", "lines", "lines"),
    ],
)
def test_texts_of_the_command_line_become_values(name: str, given: Any, expected: Any):
    assert expected == getattr(build({}, {name: given}), name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grace_second = 5", ["f.toml", "'grace_second'", "Did you mean 'grace_seconds'?"]),
        ("xyzzy = 5", ["f.toml", "'xyzzy'", "pbs-filter.toml(5)"]),
        ("grace_seconds = 0", ["f.toml: grace_seconds", "0", "from 1 to"]),
        ("grace_seconds = true", ["True", "not a time"]),
        ('grace_seconds = "30 minutes"', ["'30 minutes'", '"30m"']),
        ('grace_seconds = "2w"', ["1209600", "from 1 to 604800"]),
        ("max_addresses = 1.5", ["1.5", "whole number"]),
        ("max_addresses = true", ["True", "whole number"]),
        ("write = 1", ["write", "true or false"]),
        ('confirm = "maybe"', ["'maybe'", "auto, yes, lines, no"]),
        ('confirm = "line"', ["'line'", "Did you mean 'lines'?"]),
        ("confirm = 5", ["5", "auto, yes, lines, no"]),
        ('map = "map.gdbm"', ["'map.gdbm'", "absolute path"]),
        ('map = "/var/lib/x/"', ["'/var/lib/x/'", "directory"]),
        ('map = "redis://:secret@redis.example"', ["f.toml: map", "password_file"]),
        ('map = "http://redis.example"', ["f.toml: map", "'http'", "redis://"]),
        ('redis_name = "!forget"', ["f.toml: redis_name", "'!forget'", "letters"]),
        (f'redis_name = "{"x" * 65}"', ["f.toml: redis_name", "64"]),
        ("map = 5", ["map", "text"]),
        ('user = "a\\nb"', ["user", "printable"]),
        ('local_networks = ["192.0.2.7/24"]', ["local_networks", "192.0.2.7/24"]),
        ('local_networks = "192.0.2.0/24"', ["local_networks", "list of texts"]),
        ("deny_users = [5]", ["deny_users", "list of texts"]),
        ('deny_users = [" bob"]', ["deny_users", "' bob'", "name of a user"]),
        ('allow_users = [""]', ["allow_users", "name of a user"]),
        ("trusted_accounts = 5", ["trusted_accounts", "table"]),
        ("trusted_accounts = {dovecot = true}", ["trusted_accounts: dovecot", "list"]),
        ("trusted_accounts = {dovecot = [true]}", ["trusted_accounts: dovecot", "list"]),
        ("export = 5", ["[[export]]"]),
        ("export = [5]", ["[[export]]"]),
        ("grace_seconds", ["f.toml", "not TOML"]),
        ("\n= 5", ["f.toml", "line 2", "'= 5'"]),
    ],
)
def test_what_is_wrong_is_named_with_what_is_valid(text: str, words: list[str]):
    with pytest.raises(ConfigError) as caught:
        build({"f.toml": text})
    assert EX_CONFIG == caught.value.exit_status
    assert "secret" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("grace_seconds", "-1", "--grace-seconds: -1 is not from 1"),
        ("patience_seconds", "0", "--patience-seconds: 0 is not from 1"),
        ("max_addresses", "-1", "--max-addresses: -1 is not from 1"),
        ("max_addresses", "many", "--max-addresses: 'many' is not a whole number"),
        ("local_networks", "192.0.2.300", "--local-networks: '192.0.2.300'"),
    ],
)
def test_a_wrong_value_on_the_command_line_names_the_option(name: str, given: str, message: str):
    with pytest.raises(UsageError) as caught:
        build({}, {name: given})
    assert str(caught.value).startswith(message)
    assert EX_USAGE == caught.value.exit_status


# ---------------------------------------------------------------------- tables

LIST = {"format": "cdb", "path": "/x"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "[[export]] 1: format is missing"),
        ({"format": "texthsh", "path": "/x"}, "format: 'texthsh' is not one of cdb"),
        ({"format": "texthsh", "path": "/x"}, "Did you mean 'texthash'?"),
        ({"format": "cdb"}, "path is missing"),
        ({**LIST, "path": "x"}, "path: 'x' is not an absolute path"),
        ({**LIST, "path": 7}, "path: 7 is not a text"),
        ({**LIST, "comand": "y"}, "unknown key 'comand'. Did you mean 'command'?"),
        ({**LIST, "interval_seconds": True}, "interval_seconds: True is not a time"),
        ({**LIST, "interval_seconds": 0}, "interval_seconds: 0 is not from 1 to 86400"),
        ({**LIST, "command_timeout_seconds": "2h"}, "7200 is not from 1 to 3600"),
        ({**LIST, "command": "a 'b"}, 'command: "a \'b": No closing'),
        ({**LIST, "command": [1]}, "command: [1] is not a list of texts"),
        ({**LIST, "mode": "9"}, "mode: '9' is not a mode"),
        ({**LIST, "mode": 640}, "mode: 640 is not a mode"),
        ({**LIST, "mode": True}, "mode: True is not a mode"),
        ({**LIST, "mode": "1777"}, "mode: '1777' is not a mode"),
    ],
)
def test_a_wrong_export_is_refused_with_advice(table: dict[str, object], message: str):
    with pytest.raises(ConfigError) as caught:
        OPTIONS["export"].kind.check([table])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "acme", "logins": "x"}, "[[server]] 'acme': unknown key 'logins'"),
        ({"name": "acme", "login": 5}, "[[server]] 'acme': login: 5 is not a text or a list"),
        ({"name": "acme", "login": [""]}, "login: [''] is not a text or a list"),
        ({"name": "acme", "protocol": "smtp"}, "protocol: 'smtp' is not one of pop3, imap"),
        ({"name": "acme", "pat": ["x"]}, "pat: ['x'] is not one regular expression"),
        ({"name": "acme", "samples": "x"}, "samples: 'x' is not a list of tables"),
        ({"name": 5}, "[[server]] 1: name: 5 is not a text"),
        ({"python": "x.py"}, "[[server]] 1: python: 'x.py' is not an absolute path"),
    ],
)
def test_a_wrong_server_is_refused_with_advice(table: dict[str, object], message: str):
    with pytest.raises(ConfigError) as caught:
        OPTIONS["server"].kind.check([table])
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["export", "server"])
def test_two_tables_of_one_name_are_refused(name: str):
    table = {"export": LIST, "server": {"name": "acme"}}[name]
    with pytest.raises(ConfigError, match=rf"two \[\[{name}\]\] tables have"):
        OPTIONS[name].kind.check([table, table])


def test_servers_without_a_name_are_not_the_same():
    tables = [{"python": "/a.py"}, {"python": "/b.py"}]
    assert ["/a.py", "/b.py"] == [t.python for t in OPTIONS["server"].kind.check(tables)]


def test_a_mode_is_octal_in_a_text_or_in_toml():
    written = ('"0640"', "0o640")
    texts = [f'[[export]]\nformat = "cdb"\npath = "/x"\nmode = {mode}' for mode in written]
    assert [0o640, 0o640] == [build({"f": text}).export[0].mode for text in texts]


def test_every_key_of_an_export_is_read():
    (export,) = OPTIONS["export"].kind.check(
        [
            {
                "format": "lmdb",
                "path": "/x",
                "interval_seconds": "1m",
                "command": "postfix reload",
                "command_timeout_seconds": 7,
                "mode": "0640",
            }
        ]
    )
    assert ("lmdb", "/x", 60, ("postfix", "reload"), 7, 0o640) == (
        export.format,
        export.path,
        export.interval_seconds,
        export.command,
        export.command_timeout_seconds,
        export.mode,
    )


def test_the_formats_that_can_be_configured_are_those_that_are_written():
    words = Export.options["format"].kind.accepts
    assert f"One of: {', '.join([*FORMATS, exporter.SQLITE])}." == words


def test_the_format_that_holds_networks_is_the_one_that_writes_them():
    network = [("2001:db8:1::/64", 2_000_000_000)]
    holding = {name for name, each in FORMATS.items() if b"2001:db8:1::" in each.render(network)}
    assert {HOLDS_NETWORKS} == holding


@pytest.mark.parametrize("name", [*FORMATS, exporter.SQLITE])
def test_an_export_that_cannot_hold_prefixes_is_refused_with_them(name: str):
    text = f'[[export]]\nformat = "{name}"\npath = "/x"\n'
    build({"f": text})
    if name == HOLDS_NETWORKS:
        build({"f": "ipv6_prefix = 64\n" + text})
        return
    with pytest.raises(ConfigError, match=r"f: \[\[export\]\] to '/x': format = .* cannot hold"):
        build({"f": "ipv6_prefix = 64\n" + text})


def test_a_group_of_logins_is_no_accounts_group():
    table = '[[{}]]\nname = "x"\nusers = ["bob"]\ngrace_seconds = "1d"\n'
    config = build({"a": table.format("group"), "b": 'group = "mail"\n'})
    assert ("mail", "x", 86400) == (
        config.group,
        config.groups[0].name,
        config.groups[0].grace_seconds,
    )
    both = build({"a": table.format("group"), "b": table.format("groups").replace("x", "y")})
    assert ["x", "y"] == [group.name for group in both.groups]


def test_how_long_a_login_can_count_at_most():
    text = '[[groups]]\nname = "x"\nusers = ["bob"]\n'
    assert 43200 + 1800 == build({}).longest_seconds
    assert 43200 + 86400 == build({"f": text + "grace_seconds = 86400"}).longest_seconds
    config = build({"f": "max_session_seconds = 0\n" + text})
    assert (False, 1800) == (config.holds, config.longest_seconds)
    config = build({"f": "max_session_seconds = 0\n" + text + "max_session_seconds = 60"})
    assert (True, 1860) == (config.holds, config.longest_seconds)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"command": "x"}, "[[hook]] 1: on is missing"),
        ({"on": [], "command": "x"}, "on: is empty; write some of warning"),
        ({"on": ["authorized"], "command": "x"}, "Did you mean 'authorised'?"),
        ({"on": ["ended"]}, "command is missing"),
        ({"on": ["ended"], "command": "a\tb"}, "command: 'a\\tb' is not a text"),
    ],
)
def test_a_wrong_hook_is_refused_with_advice(table: dict[str, object], message: str):
    with pytest.raises(ConfigError) as caught:
        OPTIONS["hook"].kind.check([table])
    assert message in str(caught.value)


def test_a_hook_has_its_events_and_the_words_of_its_command():
    (hook,) = OPTIONS["hook"].kind.check([{"on": ["warning", "ended"], "command": "a 'b c'"}])
    assert (("warning", "ended"), ("a", "b c"), 10) == (
        hook.on,
        hook.command,
        hook.timeout_seconds,
    )


def test_the_servers_own_samples_are_tables():
    (server,) = OPTIONS["server"].kind.check([{"name": "a", "samples": [{"line": "x"}]}])
    assert ({"line": "x"},) == server.samples
