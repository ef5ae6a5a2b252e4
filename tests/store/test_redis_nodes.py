"""The nodes of a cluster are remembered over a restart, and only for the location they are of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbs_filter.store.redis_nodes import KnownNodes, Nodes

HERE = "redis://r1.example"
NODES = (("192.0.2.1", 7000), ("2001:db8::1", 6379), ("r2.example", 7))


def known(path: Path, said: list[str], location: str = HERE) -> KnownNodes:
    return KnownNodes(str(path), location, "", said.append)


def test_what_was_learned_is_known_at_the_next_start(tmp_path: Path) -> None:
    path, said = tmp_path / "map.nodes", list[str]()
    first = known(path, said)
    assert () == first.nodes
    first.learn(reversed(NODES))
    assert NODES == known(path, said).nodes
    assert 0o640 == path.stat().st_mode & 0o777
    number = path.stat().st_ino
    first.learn(NODES)
    first.learn(())
    assert number == path.stat().st_ino, "not written again"
    first.learn(NODES[:1])
    assert NODES[:1] == known(path, said).nodes
    assert [] == said


def test_of_another_location_nothing_is_remembered(tmp_path: Path) -> None:
    path, said = tmp_path / "map.nodes", list[str]()
    known(path, said).learn(NODES)
    assert () == known(path, said, "redis://other.example").nodes


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ()),
        ("\0\xff", ()),
        (f"{HERE}\nr1 7\nr2\nr3 x\n 5\nr4 0\nr5 65536\nr6 1234567\nr7 9", (("r1", 7), ("r7", 9))),
    ],
)
def test_a_damaged_file_is_read_as_far_as_it_goes(
    content: str, expected: Nodes, tmp_path: Path
) -> None:
    path = tmp_path / "map.nodes"
    path.write_text(content, encoding="latin-1")
    assert expected == known(path, []).nodes


def test_what_is_no_file_is_nothing_and_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    path, said = tmp_path / "map.nodes", list[str]()
    os.mkfifo(path)
    assert () == known(path, said).nodes
    missing = known(tmp_path / "missing" / "map.nodes", said)
    missing.learn(NODES)
    assert NODES == missing.nodes
    assert 1 == len(said)
    assert "map.nodes" in said[0]
