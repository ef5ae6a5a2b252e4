"""What --setup prints. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from ..integrations import postfix, rsyslog, syslog_ng
from ..integrations.machine import DAEMONS, MTAS, Machine
from ..integrations.plan import ACCOUNT, Change, Directory, Plan


def found(machine: Machine) -> str:
    """What is there."""

    def installed(names: Sequence[str]) -> str:
        return ", ".join(
            f"{name} {machine.versions[name]}" + (" (runs)" if name in machine.running else "")
            for name in names
            if name in machine.versions
        )

    rows = [
        ("pbs-filter", machine.program),
        ("pbs-lookup", machine.lookup),
        ("syslog daemon", installed(DAEMONS) or "none that pbs-filter works behind"),
        *(
            ("drop-ins", path.rpartition("/")[0])
            for path in (rsyslog.drop_in(machine), syslog_ng.drop_in(machine))
            if path
        ),
        *(
            [("AppArmor", f"confines rsyslogd: {rsyslog.PROFILE}")]
            if rsyslog.PROFILE in machine.files
            else []
        ),
        ("MTA", installed(MTAS) or "none that pbs-filter works with"),
    ]
    mynetworks = machine.answers.get(postfix.MYNETWORKS, "").split()
    if mynetworks:
        rows.append(("mynetworks", " ".join(mynetworks)))
    if postfix.chrooted(machine):
        rows.append(("smtpd", "in its chroot: it asks at a socket inside its queue directory"))
    seen = machine.seen
    if seen is not None:
        logins = ", ".join(f"{name} {n}" for name, n in sorted(seen.logins.items()))
        rows.append(
            ("mail log", f"{seen.path}, last {seen.lines} lines: logins: {logins or 'none'}")
        )
        if seen.unread:
            unread = ", ".join(f"{name} {n}" for name, n in sorted(seen.unread.items()))
            rows.append(("", f"lines that no rule reads: {unread}"))
    return "".join(f"{name:<14} {value}\n" for name, value in rows)


def account_commands(machine: Machine, plan: Plan) -> list[list[str]]:
    """The commands that make the plan's accounts, and their group."""
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
    """The command that makes it."""
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
    """The command that makes a new file of the shipped ones."""
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
    parent = change.path.rpartition("/")[0]
    if parent.endswith((".service.d", "apparmor.d/rsyslog.d", "/opensmtpd")):
        command = f"mkdir -p {parent} && {command}"
    return command


def here_document(change: Change) -> str:
    """The command that makes a new file of its text."""
    return f"cat > {change.path} <<'END'\n{change.after}END\n"


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found[0]


def diff(change: Change) -> str:
    """A unified diff of one file."""
    before = (change.before or "").splitlines(keepends=True)
    after = change.after.splitlines(keepends=True)
    name = "/dev/null" if change.before is None else change.path
    rows = difflib.unified_diff(before, after, name, change.path)
    return "".join(
        row if row.endswith("\n") else row + "\n\\ no newline at the end\n" for row in rows
    )


def _commands(commands: Sequence[str]) -> str:
    return "".join(f"    {command}\n" for command in commands)


def shown(machine: Machine, plan: Plan, words: Sequence[str]) -> str:
    """The whole plan, for somebody who does it by hand or lets --apply do it."""
    parts = [found(machine)]
    parts += [f"note: {note}\n" for note in plan.notes]
    accounts = [" ".join(command) for command in account_commands(machine, plan)]
    directories = [" ".join(directory_command(each)) for each in plan.directories]
    parts.append("Accounts and directory:\n" + _commands([*accounts, *directories]))
    for change in plan.changes:
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
    if not plan.changes:
        parts.append("Every file is as it should be.\n")
    checks = [quoted(check.argv) for check in plan.checks]
    if checks:
        parts.append("Then check it:\n" + _commands(checks))
    parts.append(ending(machine, plan))
    command = f"{machine.program} --setup {' '.join(words)} --apply"
    if plan.changes or accounts:
        parts.append(
            f"Nothing was changed. `{command}` makes the accounts and files above, checks them, "
            "and takes them back if the check fails.\n"
        )
    return "\n".join(parts)


def ending(machine: Machine, plan: Plan) -> str:
    """What is for the person: after --apply, too."""
    parts = []
    if plan.left:
        parts.append(
            "To do by hand (--apply leaves it to you):\n"
            + "".join(f"  * {item}\n" for item in plan.left)
        )
    parts.append("Then let the daemons read it:\n" + _commands(plan.then))
    parts.append(
        "And see it work (--doctor first: with its test line the syslog daemon starts the filter, "
        "which makes the map):\n"
        + _commands([f"{machine.program} --doctor", *plan.see, f"{machine.program} --list"])
    )
    return "\n".join(parts)


def indented(text: str) -> str:
    """`text`, four blanks deeper."""
    return "".join(f"    {row}".rstrip() + "\n" for row in text.splitlines())


def quoted(argv: Sequence[str]) -> str:
    """`argv` as one types it."""
    words = [
        word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"
        for word in argv
    ]
    return " ".join(words)
