"""The configuration: what is valid, what is said when it is not, and that the example is true."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pbs_filter.config.options import BY_NAME, OPTIONS, build, dump, example
from pbs_filter.errors import EX_CONFIG, ConfigError

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "pbs-filter.toml"


def test_the_example_is_what_the_code_says():
    assert example() == EXAMPLE.read_text()


def test_the_example_with_its_comments_taken_away_is_the_default():
    lines = [
        line.removeprefix("#")
        for line in EXAMPLE.read_text().splitlines()
        if line.startswith("#") and not line.startswith("# ")
    ]
    assert {o.name for o in OPTIONS if o.kind != "tables"} == {
        line.partition(" ")[0] for line in lines
    }
    from_example = build("\n".join(lines), "example")
    for option in OPTIONS:
        assert getattr(build(None, ""), option.name) == getattr(from_example, option.name)


def test_command_line_over_file_over_default():
    config = build("grace_seconds = 60\npatience_seconds = 7\n", "f.toml", {"grace_seconds": 90})
    assert (90, "command line") == (config.grace_seconds, config.sources["grace_seconds"])
    assert (7, "f.toml") == (config.patience_seconds, config.sources["patience_seconds"])
    assert (43200, "default") == (config.max_session_seconds, config.sources["max_session_seconds"])


def test_what_dumpconfig_shows_can_be_read_again():
    text = (
        'local_networks = ["192.0.2.0/24"]\ndeny_users = ["a\\"b\\\\c"]\n'
        'trusted_accounts = {dovecot = ["vmail", 5000]}\nflock = false\n'
    )
    config = build(text, "f.toml")
    again = build(dump(config), "dump")
    for option in OPTIONS:
        assert getattr(config, option.name) == getattr(again, option.name)


def test_with_a_map_in_redis_the_hosts_own_files_are_where_local_state_says():
    config = build('map = "redis://redis.example"', "f")
    assert "/var/lib/pbs-filter/redis.journal" == config.journal
    config = build('map = "redis://redis.example"\nlocal_state = "/x/r"', "f")
    assert ("/x/r.journal", "/x/r.lock", "/x/r.control") == (
        config.journal,
        config.lock,
        config.control,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('map = "redis://:secret@redis.example"', ["f.toml: map", "password_file"]),
        ('map = "http://redis.example"', ["f.toml: map", "'http'", "redis://"]),
        ('map = "map.gdbm"', ["f.toml: map", "absolute"]),
        ('redis_name = "!forget"', ["f.toml: redis_name", "'!forget'", "letters"]),
        (f'redis_name = "{"x" * 65}"', ["f.toml: redis_name", "64"]),
    ],
)
def test_a_location_or_a_name_that_cannot_be_is_refused(text, words):
    with pytest.raises(ConfigError) as caught:
        build(text, "f.toml")
    assert all(word in str(caught.value) for word in words)
    assert "secret" not in str(caught.value)


def test_the_files_beside_the_map_have_its_name():
    config = build('map = "/x/m"', "f")
    assert ("/x/m.journal", "/x/m.lock", "/x/m.control") == (
        config.journal,
        config.lock,
        config.control,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grace_second = 5", ["f.toml", "'grace_second'", "Did you mean 'grace_seconds'?"]),
        ("xyzzy = 5", ["f.toml", "'xyzzy'", "pbs-filter.toml(5)"]),
        ("grace_seconds = 0", ["f.toml: grace_seconds", "0", "from 1 to"]),
        ("grace_seconds = true", ["True", "whole number"]),
        ('grace_seconds = "30m"', ["'30m'", "whole number"]),
        ("write = 1", ["write", "true or false"]),
        ('confirm = "maybe"', ["'maybe'", "auto, yes, lines, no"]),
        ('map = "map.gdbm"', ["'map.gdbm'", "absolute path"]),
        ('map = "/var/lib/x/"', ["'/var/lib/x/'", "directory"]),
        ("map = 5", ["map", "text"]),
        ('user = "a\\nb"', ["user", "printable"]),
        ('local_networks = ["192.0.2.7/24"]', ["local_networks", "192.0.2.7/24"]),
        ('local_networks = "192.0.2.0/24"', ["local_networks", "list of texts"]),
        ("deny_users = [5]", ["deny_users", "list of texts"]),
        ("trusted_accounts = 5", ["trusted_accounts", "table"]),
        ("trusted_accounts = {dovecot = true}", ["trusted_accounts.dovecot", "list"]),
        ("trusted_accounts = {dovecot = [true]}", ["trusted_accounts.dovecot", "list"]),
        ("export = 5", ["[[export]]"]),
        ("export = [5]", ["[[export]]"]),
        ("grace_seconds", ["f.toml", "not TOML"]),
    ],
)
def test_what_is_wrong_is_named_with_what_is_valid(text, words):
    with pytest.raises(ConfigError) as caught:
        build(text, "f.toml")
    assert EX_CONFIG == caught.value.exit_status
    for word in words:
        assert word in str(caught.value)


def test_a_wrong_value_on_the_command_line_names_the_option():
    with pytest.raises(ConfigError, match="--grace: -1 is not from"):
        build(None, "", {"grace_seconds": -1})
    with pytest.raises(ConfigError, match="--patience-seconds: 0 is not from"):
        build(None, "", {"patience_seconds": 0})


def test_tables_of_exports_and_servers_are_kept_as_they_are():
    config = build('[[export]]\nformat = "cdb"\n[[server]]\nname = "x"\n', "f")
    assert ({"format": "cdb"},) == config.export
    assert ({"name": "x"},) == config.server


def test_every_option_says_what_it_is_about():
    for option in OPTIONS:
        assert option.about.endswith((".", "}.", '"'))
        assert option is BY_NAME[option.name]
    assert tomllib.loads(example()) == {}
