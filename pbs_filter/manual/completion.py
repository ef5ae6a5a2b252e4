"""Completion for bash, zsh and fish. Pure: options in, scripts out.

bash gets by without the package bash-completion. Its words break at `=` and `:`, which is why a
value behind `--option=` is looked for two words back, and why IPv6 addresses are not completed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .words import Flag, Group, Mode, first_sentence

FILES = frozenset({"FILE", "PATH", "FILE|-", "MAP", "PROGRAM"})
"""What --help calls a file."""
ADDRESS = "ADDRESS"
AUTHORISED = "pbs-filter --list --plain 2>/dev/null"
"""Addresses that may be meant: those that may relay now."""

_HEAD = '# Made by "python -m pbs_filter.manual": change that, not this.\n'


def _flags(groups: Iterable[Group]) -> list[Flag]:
    return [flag for group in groups for flag in group.flags if flag.names]


def _long(flag: Flag) -> list[str]:
    return [name for name in flag.names if name.startswith("--")]


def _takes_file(flag: Flag) -> bool:
    return flag.takes in FILES


# ------------------------------------------------------------------ bash


def bash(groups: Sequence[Group], modes: Sequence[Mode]) -> dict[str, str]:
    """A script for each program."""
    flags = _flags(groups)
    options = " ".join(name for flag in flags for name in _long(flag))
    return {
        "pbs-filter": f"""\
{_HEAD}
_pbs_filter() {{
{_BASH_WORDS}
    case $prev in
{_bash_values(flags)}
    esac
    case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '{options}' -- "$cur") ;;
        *) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
}} && complete -F _pbs_filter pbs-filter
""",
        "pbs-lookup": f"""\
{_HEAD}
_pbs_lookup() {{
{_BASH_WORDS}
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W '{" ".join(m.name for m in modes)} --help' -- "$cur")
        return
    fi
    case $prev in
{_bash_values(_each_once(modes))}
    esac
    if [[ $cur != -* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    local options=
    case ${{COMP_WORDS[1]}} in
{_bash_modes(modes)}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
}} && complete -F _pbs_lookup pbs-lookup
""",
    }


_BASH_WORDS = """\
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi"""


def _bash_values(flags: Iterable[Flag]) -> str:
    lines = []
    for flag in flags:
        if not flag.takes:
            continue
        if flag.choices:
            what = f"compgen -W '{' '.join(flag.choices)}' -- \"$cur\""
        elif flag.takes == ADDRESS:
            what = f'compgen -W "$({AUTHORISED} | grep -v :)" -- "$cur"'
        elif _takes_file(flag):
            what = 'compgen -f -- "$cur"'
        else:
            what = ""
        names = "|".join(_long(flag))
        if _takes_file(flag):
            done = f"compopt -o filenames; mapfile -t COMPREPLY < <({what}); return"
        elif what and flag.optional:
            # what comes next may as well be an option
            done = f"[[ $cur == -* ]] || {{ mapfile -t COMPREPLY < <({what}); return; }}"
        elif what:
            done = f"mapfile -t COMPREPLY < <({what}); return"
        else:
            done = "return"
        lines.append(f"        {names}) {done} ;;")
    return "\n".join(lines)


def _bash_modes(modes: Iterable[Mode]) -> str:
    return "\n".join(
        f"        {mode.name}) options='{' '.join(n for f in mode.flags for n in _long(f))}' ;;"
        for mode in modes
    )


def _each_once(modes: Iterable[Mode]) -> list[Flag]:
    return list({flag.names: flag for mode in modes for flag in mode.flags}.values())


# ------------------------------------------------------------------ zsh


def zsh(groups: Sequence[Group], modes: Sequence[Mode]) -> dict[str, str]:
    """A function for each program, as files of $fpath are."""
    specs = [spec for flag in _flags(groups) for spec in _zsh_specs(flag)]
    lookup = "\n".join(
        f"    {mode.name})\n        _arguments \\\n"
        + _zsh_lines([s for flag in mode.flags for s in _zsh_specs(flag)], 12)
        + "\n        ;;"
        for mode in modes
    )
    names = "\n".join(f"        {_zsh_quoted(f'{mode.name}:{mode.brief}')}" for mode in modes)
    return {
        "pbs-filter": f"""\
#compdef pbs-filter
{_HEAD}
_arguments \\
{_zsh_lines(specs, 4)}
""",
        "pbs-lookup": f"""\
#compdef pbs-lookup
{_HEAD}
if ((CURRENT == 2)); then
    local -a modes=(
{names}
    )
    _describe mode modes
    return
fi
local mode=${{words[2]}}
shift words
((CURRENT--))
case $mode in
{lookup}
esac
""",
    }


def _zsh_lines(specs: Sequence[str], indent: int) -> str:
    return " \\\n".join(" " * indent + spec for spec in (*specs, "'*:file:_files'"))


def _zsh_specs(flag: Flag) -> list[str]:
    about = first_sentence(flag.about)
    for sign in "\\[]:":
        about = about.replace(sign, f"\\{sign}")
    value = ""
    if flag.takes:
        kind = "::" if flag.optional else ":"
        if flag.choices:
            action = f"({' '.join(flag.choices)})"
        elif flag.takes == ADDRESS:
            action = f'_values address ${{(f)"$({AUTHORISED})"}}'
            action = f'{{compadd -- ${{(f)"$({AUTHORISED})"}}}}'
        else:
            action = "_files" if _takes_file(flag) else ""
        value = f"{kind}{flag.takes.lower().replace(':', '')}:{action}"
    return [
        _zsh_quoted(f"{name}{'=' if flag.takes else ''}[{about}]{value}") for name in _long(flag)
    ]


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ------------------------------------------------------------------ fish


def fish(groups: Sequence[Group], modes: Sequence[Mode]) -> dict[str, str]:
    """A script for each program."""
    names = " ".join(mode.name for mode in modes)
    none_yet = f"not __fish_seen_subcommand_from {names}"
    lookup = ["complete -c pbs-lookup -f"]
    for mode in modes:
        about = _fish_quoted(mode.brief)
        lookup.append(f"complete -c pbs-lookup -n '{none_yet}' -a {mode.name} -d {about}")
        condition = f"-n '__fish_seen_subcommand_from {mode.name}' "
        lookup += [_fish("pbs-lookup", flag, condition) for flag in mode.flags]
    return {
        "pbs-filter": _HEAD + "".join(f"{_fish('pbs-filter', flag)}\n" for flag in _flags(groups)),
        "pbs-lookup": _HEAD + "".join(f"{line}\n" for line in lookup),
    }


def _fish(program: str, flag: Flag, condition: str = "") -> str:
    long = " ".join(f"-l {name.removeprefix('--')}" for name in _long(flag))
    words = f"complete -c {program} {condition}{long} -d {_fish_quoted(first_sentence(flag.about))}"
    if not flag.takes:
        return words
    if flag.choices:
        return f"{words} -x -a {_fish_quoted(' '.join(flag.choices))}"
    if flag.takes == ADDRESS:
        return f"{words} {'-f' if flag.optional else '-x'} -a {_fish_quoted(f'({AUTHORISED})')}"
    if _takes_file(flag):
        return f"{words} -r -F"
    return f"{words} -x"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
