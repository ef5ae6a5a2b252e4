"""The layers of ARCHITECTURE 3, as data, and what a module's text breaks of them.

`python -m tests.layers` prints the files of the pure modules for coverage's `--include`: tests/run
wants every branch of them covered.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1] / "pbs_filter"

PURE: dict[str, frozenset[str]] = {
    name: frozenset(below.split())
    for name, below in {
        "errors": "",
        "model": "",
        "headers": "",
        "living": "",
        "stamps": "",
        "value": "living",
        "addresses": "errors",
        "redis_location": "errors",
        "redis_values": "errors living",
        "scanner": "headers",
        "records": "addresses headers model scanner",
        "omprog": "records",
        "grammar": "addresses errors model",
        "servers": "grammar model",
        "shards": "",
        "ledger": "model shards value",
        "correlate": "ledger model shards",
        "policy": "addresses model",
        "filter": "addresses correlate grammar ledger model policy records scanner",
        "requests": "addresses filter ledger",
        "terminal": "",
        "pace": "model records stamps",
        "lookout": "filter model pace terminal",
        "report": "filter grammar model terminal value",
        "status": "filter lookout model records report terminal",
        "history": "report terminal",
        "metrics": "lookout model",
        "watching": "report terminal value",
        "config": "addresses errors redis_location",
        "shared": "redis_values value",
        "manual.completion": "manual.words",
        "manual.pages": "config errors manual.roff manual.words",
        "manual.roff": "",
        "manual.words": "",
        "setup.machine": "",
        "setup.plan": "config setup.machine",
        "setup.rsyslog": "setup.machine setup.plan",
        "setup.syslog_ng": "setup.machine setup.plan setup.rsyslog",
        "setup.postfix": "addresses setup.machine setup.plan setup.rsyslog",
        "setup.mtas": "addresses setup.machine setup.plan setup.postfix",
        "setup.text": "setup.machine setup.plan setup.postfix setup.rsyslog setup.syslog_ng",
        "setup.record": "errors",
        "doctor.judge": "config",
        "doctor.asking": "doctor.judge setup.postfix",
        "mta.opensmtpd": "errors mta.lookup",
        "mta.policy": "errors mta.lookup",
        "mta.redis_wire": "errors",
        "mta.socketmap": "errors mta.lookup",
    }.items()
}
"""A pure module (or package, with all its files) and the only ones of ours that it may import.
Everything not named here is an edge, and no pure module may import an edge; `mta.lookup` stands for
the words Lookup and Answer, which the protocols need as types."""

LIBRARY = {"__future__", "binascii", "bisect", "collections", "collections.abc", "dataclasses",
           "datetime", "difflib", "enum", "functools", "heapq", "itertools", "json", "operator",
           "re", "textwrap", "tomllib", "typing", "unicodedata"}  # fmt: skip
"""What pure modules may have of the standard library: nothing that knows of files, clocks,
processes or the network."""

THIRD_PARTY = {"grammar": {"pyparsing"}, "servers": {"pyparsing"}, "addresses": {"netaddr"}}

FORBIDDEN_CALLS = frozenset({"open", "input", "print", "eval", "exec", "compile", "__import__"})
CLOCKS = frozenset({"now", "utcnow", "today"})

LOOKUP_MAY = {"alive", "errors", "living", "redis_location", "redis_values", "value"}
"""What the lookup side, which starts for every connection, may import beside itself."""

STORE_MAY = {"", "alive", "errors", "redis_location", "redis_values"}
"""What a store may import beside the other stores: it knows nothing of the ledger."""


class Import(NamedTuple):
    """One imported module: ours by its name below the package (`grammar.rules`), or foreign."""

    ours: bool
    name: str
    only_types: bool
    line: int


def modules() -> dict[str, Path]:
    """Every module of the package by its name below it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def layer(name: str) -> str | None:
    """The name in PURE that `name` belongs to; None: it is an edge."""
    if name in PURE:
        return name
    head = name.partition(".")[0]
    return head if head in PURE else None


def imports(name: str, text: str, *, is_package: bool, known: set[str]) -> Iterator[Import]:
    """What the text of module `name` imports, at any depth."""
    tree = ast.parse(text)
    only_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = name.split(".") if name else []
    if not is_package:
        package = package[:-1]
    for node in ast.walk(tree):
        typed = id(node) in only_types
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            base += (node.module or "").split(".") if node.module else []
            names = [(".".join(["pbs_filter", *base]), alias.name) for alias in node.names]
        else:
            continue
        for module, member in names:
            if module.partition(".")[0] != "pbs_filter":
                yield Import(False, module, typed, node.lineno)
                continue
            ours = module.partition(".")[2]
            deeper = f"{ours}.{member}" if ours else member
            yield Import(True, deeper if deeper in known else ours, typed, node.lineno)


def breaches(name: str, text: str, *, is_package: bool = False) -> list[str]:
    """What module `name` with this text breaks of the layering; nothing for an edge that may."""
    known = set(modules())
    found = list(imports(name, text, is_package=is_package, known=known))
    broken = []
    if name == "mta" or name.startswith("mta."):
        broken += [
            f"line {line}: the lookup side imports {other}"
            for ours, other, _, line in found
            if ours and other and not other.startswith("mta") and other not in LOOKUP_MAY
        ]
    if name.startswith("store."):
        broken += [
            f"line {line}: a store knows nothing of {other}"
            for ours, other, _, line in found
            if ours and other not in STORE_MAY and not other.startswith("store")
        ]
    pure = layer(name)
    if pure is None:
        return broken
    for ours, other, only_types, line in found:
        if ours:
            if not (other == "" or layer(other) == pure or (layer(other) or other) in PURE[pure]):
                broken.append(f"line {line}: {pure} imports {other}")
            may_see_all = name in ("servers", "servers.table")
            if pure == "servers" == layer(other) and not may_see_all:
                broken.append(f"line {line}: one server's file imports another's, {other}")
        elif not only_types and other not in LIBRARY | THIRD_PARTY.get(pure, set()):
            broken.append(f"line {line}: a pure module imports {other}")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            broken.append(f"line {node.lineno}: a pure module calls {node.func.id}()")
        if isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            broken.append(f"line {node.lineno}: a pure module reads a clock, {node.func.attr}()")
    return broken


def pure_files() -> list[str]:
    """The files of the pure modules, from the checkout."""
    return [
        str(path.relative_to(PACKAGE.parent))
        for name, path in modules().items()
        if name and layer(name) is not None
    ]


if __name__ == "__main__":
    sys.stdout.write(",".join(pure_files()) + "\n")
