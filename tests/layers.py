"""The layers of the package, as data, and what a module's text breaks of them.

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
        "text": "",
        "modes": "",
        "model": "",
        "terminal": "",
        "addresses": "errors",
        "map_format": "addresses errors",
        "syslog": "addresses model",
        "grammar": "addresses errors model syslog text",
        "servers": "grammar model syslog",
        "site_servers": "addresses config errors grammar model syslog",
        "config": "addresses errors map_format text",
        "authorisation": "addresses grammar map_format model syslog",
        "monitor": "authorisation model syslog terminal text",
        "report": "authorisation model monitor terminal text",
        "service.omprog": "syslog",
        "service.schedule": "",
        "service.requests": "addresses authorisation map_format model",
        "commands.dashboard": "map_format terminal text",
        "integrations": "addresses config text",
        "setup.render": "integrations text",
        "setup.record": "errors",
        "doctor.findings": "config integrations monitor text",
        "doctor.journey": "integrations text",
        "lookup.resp": "errors",
        "lookup.trace": "map_format",
        "lookup.protocols.opensmtpd": "errors lookup.answer",
        "lookup.protocols.policy": "errors lookup.answer lookup.trace map_format",
        "lookup.protocols.socketmap": "errors lookup.answer lookup.trace map_format",
    }.items()
}
"""A pure package (or module), with all its modules but EDGES, and what of ours it may import beside
itself. Everything not named here is an edge, and no pure module may import an edge;
`lookup.answer` stands for the words Lookup and Answer, which the protocols need as types."""

EDGES = frozenset(
    {
        "config.files",
        "map_format.completeness",
        "map_format.gdbm_reader",
        "map_format.map_clock",
        "site_servers.python_file",
    }
)
"""Modules of pure packages that do I/O."""

LIBRARY = {"__future__", "binascii", "bisect", "collections", "collections.abc", "dataclasses",
           "datetime", "difflib", "enum", "functools", "hashlib", "heapq", "html", "itertools",
           "json", "operator", "re", "shlex", "textwrap", "tomllib", "typing",
           "unicodedata"}  # fmt: skip
"""What pure modules may have of the standard library: nothing that knows of files, clocks,
processes or the network."""

THIRD_PARTY = {
    "grammar": {"pyparsing"},
    "servers": {"pyparsing"},
    "site_servers": {"pyparsing"},
    "addresses": {"netaddr"},
}

FOLDER = {"importlib", "pkgutil"}
"""What `servers` and `integrations` themselves may have: the folder is the list."""

FORBIDDEN_CALLS = frozenset({"open", "input", "print", "eval", "exec", "compile", "__import__"})
CLOCKS = frozenset({"now", "utcnow", "today"})

LOOKUP_MAY = frozenset({"errors", "files", "log", "map_format", "text"})
"""What the lookup side, which starts for every connection, may import beside itself."""

STORE_MAY = frozenset({"", "errors", "files", "held_files", "map_format", "text"})
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
    """The longest name in PURE that `name` is or is inside of; None: it is an edge."""
    if name in EDGES:
        return None
    parts = name.split(".")
    heads = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((head for head in heads if head in PURE), None)


def is_in(name: str, packages: frozenset[str]) -> bool:
    """Whether `name` is one of `packages` or inside one."""
    return any(name == one or name.startswith(one + ".") for one in packages if one) or (
        not name and "" in packages
    )


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
    if name == "lookup" or name.startswith("lookup."):
        broken += [
            f"line {line}: the lookup side imports {other}"
            for ours, other, _, line in found
            if ours and other and not is_in(other, LOOKUP_MAY | {"lookup"})
        ]
    if name.startswith("store."):
        broken += [
            f"line {line}: a store knows nothing of {other}"
            for ours, other, _, line in found
            if ours and not is_in(other, STORE_MAY | {"store"})
        ]
    pure = layer(name)
    if pure is None:
        return broken
    for ours, other, only_types, line in found:
        if ours:
            if not (other == "" or layer(other) == pure or (layer(other) or other) in PURE[pure]):
                broken.append(f"line {line}: {pure} imports {other}")
            may_see_all = name == "servers"
            if pure == "servers" == layer(other) and not may_see_all:
                broken.append(f"line {line}: one server's file imports another's, {other}")
        elif not (
            only_types
            or other in LIBRARY | THIRD_PARTY.get(pure, set())
            or (name in ("servers", "integrations") and other in FOLDER)
        ):
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
