"""The configuration as text: --dumpconfig and the example file are true and can be read again."""

from __future__ import annotations

import json
import tomllib

from pbs_filter.config.load import build
from pbs_filter.config.options import OPTIONS, Config
from pbs_filter.config.render import dump, dump_json, example, toml


def test_the_example_with_its_comments_taken_away_is_the_default():
    lines = [
        line.removeprefix("#")
        for line in example().splitlines()
        if line.startswith("#") and not line.startswith("# ")
    ]
    assert {o.name for o in OPTIONS.values() if o.kind.table is None} == {
        line.partition(" ")[0] for line in lines
    }
    assert Config() == Config(**values(build({"f": "\n".join(lines)})))
    assert {} == tomllib.loads(example())


def values(config: Config) -> dict[str, object]:
    return {name: getattr(config, name) for name in OPTIONS}


def test_what_dumpconfig_shows_can_be_read_again():
    config = build(
        {
            "f.toml": 'local_networks = ["192.0.2.0/24"]\ndeny_users = ["a\\"b\\\\c"]\n'
            'trusted_accounts = {dovecot = ["vmail", 5000], "x y" = []}\nflock = false\n'
            '[[export]]\nformat = "cdb"\npath = "/x"\nmode = "0600"\ncommand = ["a b", "c"]\n'
            '[[server]]\nname = "acme"\nlogin = "a\\tb \\u007f"\n'
            'samples = [{line = "x", refuse = true}]\n'
        }
    )
    assert values(config) == values(build({"dump": dump(config)}))
    shown = json.loads(dump_json(config))
    assert ["f.toml"] == shown["files"]
    assert {"value": False, "source": "f.toml"} == shown["options"]["flock"]
    assert [{"format": "cdb", "path": "/x", "command": ["a b", "c"], "mode": "0600"}] == (
        shown["options"]["export"]["value"]
    )
    assert list(OPTIONS) == list(shown["options"])


def test_dumpconfig_names_the_files_in_their_order():
    assert dump(build({})).startswith("# configuration files: none\n")
    assert dump(build({"a": "", "b": ""})).startswith("# configuration files: a, b\n")


def test_keys_are_quoted_where_toml_wants_it():
    assert '{dovecot = ["a"], "x y" = [1], "" = []}' == toml(
        {"dovecot": ("a",), "x y": (1,), "": ()}
    )


def test_every_option_says_what_it_is_about():
    for table in (Config, *(o.kind.table for o in OPTIONS.values() if o.kind.table)):
        for option in table.options.values():
            assert option.about.endswith((".", "}.", '"')), option.name
            assert option.about[0].isupper() or option.about[0].isdigit(), option.name
            assert not option.name.startswith("no"), "--NAME and --noNAME must differ"
