"""The texts that --setup prints are made here. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from ..integrations import Integration, feeds, mtas
from ..integrations.machine import Machine
from ..integrations.plan import ACCOUNT, Change, Directory, Plan
from ..text import counted

LONG = 20
"""Lines of a new file that --apply shows; of a longer one it names the source."""

READ_IT = "Then let the daemons read it (until then each goes on with what it read before):"


def inventory(machine: Machine, chosen: Sequence[Integration]) -> str:
    """Return what is installed here, and what should be known of the chosen integrations."""

    def installed(kinds: Mapping[str, Integration]) -> str:
        return ", ".join(
            f"{name} {machine.versions[name]}" + (" (runs)" if name in machine.running else "")
            for name in kinds
            if name in machine.versions
        )

    rows = [
        ("pbs-filter", machine.program),
        ("pbs-lookup", machine.lookup),
        ("syslog daemon", installed(feeds()) or "none that pbs-filter works behind"),
        ("MTA", installed(mtas()) or "none that pbs-filter works with"),
        *(row for each in chosen for row in each.facts(machine)),
    ]
    log = machine.log
    if log is not None:
        logins = ", ".join(f"{name} {n}" for name, n in sorted(log.logins.items()))
        rows.append(
            (
                "mail log",
                f"{log.path}, last {counted(log.lines, 'line')}: logins: {logins or 'none'}",
            )
        )
        if log.unread:
            unread = ", ".join(f"{name} {n}" for name, n in sorted(log.unread.items()))
            rows.append(("", f"lines that no rule reads: {unread}"))
    return "".join(f"{name:<14} {value}\n" for name, value in rows)


def account_commands(machine: Machine, plan: Plan) -> list[list[str]]:
    """Return the commands that make the plan's accounts, and their group."""
    commands = []
    if plan.accounts and ACCOUNT not in machine.groups:
        commands.append(["groupadd", "--system", ACCOUNT])
    commands += [
        [
            "useradd",
            "--system",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            "--gid",
            ACCOUNT,
            name,
        ]
        for name in plan.accounts
    ]
    return commands


def directory_command(directory: Directory) -> list[str]:
    """Return the command that makes it."""
    return [
        "install",
        "-d",
        "-o",
        directory.owner,
        "-g",
        directory.group,
        "-m",
        f"{directory.mode:04o}",
        directory.path,
    ]


def copy_command(change: Change, share: str) -> str:
    """Return the command that makes a new file of the shipped ones."""
    files = " ".join(f"{share}/{name}" for name in change.sources)
    if change.swaps:
        edits = " ".join(
            "-e 's|"
            + re.sub(r"[.\[*^$|]", _escaped, old)
            + "|"
            + re.sub("[&|]", _escaped, new)
            + "|g'"
            for old, new in change.swaps
        )
        command = f"sed {edits} {files} > {change.path}"
    elif len(change.sources) == 1:
        command = f"cp {files} {change.path}"
    else:
        command = f"cat {files} > {change.path}"
    if change.mode != 0o644:
        command += f" && chmod {change.mode:04o} {change.path}"
    return _into_directory(change, command)


def here_document(change: Change) -> str:
    """Return the command that makes a new file of its text."""
    return _into_directory(change, f"cat > {change.path} <<'END'\n{change.after}END\n")


def _into_directory(change: Change, command: str) -> str:
    """Return `command`, which writes a file, behind one that makes its directory, if that is not
    usual."""
    parent = change.path.rpartition("/")[0]
    ours = (".service.d", "apparmor.d/rsyslog.d", "/opensmtpd", "/pbs-filter", "/pbs-filter.d")
    if parent.endswith(ours):
        return f"mkdir -p {parent} && {command}"
    return command


def _escaped(match: re.Match[str]) -> str:
    return "\\" + match[0]


def diff(change: Change) -> str:
    """Return a unified diff of one file."""
    before = (change.before or "").splitlines(keepends=True)
    after = change.after.splitlines(keepends=True)
    name = "/dev/null" if change.before is None else change.path
    rows = difflib.unified_diff(before, after, name, change.path)
    return "".join(
        row if row.endswith("\n") else row + "\n\\ no newline at the end\n" for row in rows
    )


def _commands(commands: Sequence[str]) -> str:
    return "".join(f"    {command}\n" for command in commands)


def applied(change: Change, share: str) -> str:
    """Return the lines that --apply shows of one file: the difference, or where a long new one
    comes from."""
    if change.before is None and change.sources and change.after.count("\n") > LONG:
        files = " ".join(f"{share}/{name}" for name in change.sources)
        return (
            f"{change.path} (new, {counted(change.after.count(chr(10)), 'line')}): from {files}\n"
        )
    return diff(change)


def plan(machine: Machine, made: Plan, chosen: Sequence[Integration]) -> str:
    """Return the whole plan, for somebody who does it by hand or lets --apply do it."""
    parts = [inventory(machine, chosen)]
    parts += [f"note: {note}\n" for note in made.notes]
    accounts = [" ".join(command) for command in account_commands(machine, made)]
    directories = [" ".join(directory_command(each)) for each in made.directories]
    if accounts or directories:
        parts.append("Accounts and directory:\n" + _commands([*accounts, *directories]))
    for change in made.changes:
        if change.before is None:
            # A here-document cannot be indented.
            command = (
                indented(copy_command(change, machine.share))
                if change.sources
                else here_document(change)
            )
            parts.append(f"{change.path} (new): {change.why}\n{command}")
        else:
            parts.append(f"{change.path}: {change.why}\n{indented(diff(change))}")
    if not made.changes and chosen:
        parts.append("Every file is as it should be.\n")
    checks = [quoted(check.argv) for check in made.checks]
    if checks:
        parts.append("Then check it:\n" + _commands(checks))
    parts.append(next_steps(machine, made))
    if made.changes or accounts:
        words = " ".join(each.word for each in chosen)
        parts.append(
            f"Nothing was changed. `{machine.program} --setup {words} --apply` makes the accounts "
            "and files above, checks them, and takes them back if the check fails.\n"
        )
    return "\n".join(parts)


def ways(integrations: Sequence[Integration], machine: Machine) -> str:
    """Return the one command for each of `integrations`, none of which is installed here."""
    rows = []
    for each in integrations:
        install = f"apt-get install {each.package} && " if each.package else ""
        rows.append(f"        {install}{machine.program} --setup {each.name}")
    return "\n".join(rows)


def next_steps(machine: Machine, made: Plan) -> str:
    """Return the steps for the person: after --apply, too."""
    parts = []
    if made.manual_steps:
        parts.append(
            "To do by hand (--apply leaves it to you):\n"
            + "".join(f"  * {item}\n" for item in made.manual_steps)
        )
    if made.restart_commands:
        parts.append(
            f"{READ_IT}\n"
            + _commands(made.restart_commands)
            + "\nAnd see it work (--doctor first: its test line starts the filter, which makes the "
            "map):\n"
            + _commands(
                [f"{machine.program} --doctor", *made.try_commands, f"{machine.program} --list"]
            )
        )
    return "\n".join(parts)


def indented(text: str) -> str:
    """Return `text`, four blanks deeper."""
    return "".join(f"    {row}".rstrip() + "\n" for row in text.splitlines())


def quoted(argv: Sequence[str]) -> str:
    """Return `argv` as one types it."""
    words = [
        word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"
        for word in argv
    ]
    return " ".join(words)
