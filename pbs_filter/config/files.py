"""The files of the configuration (edge): the main one and the drop-ins, read with care.

/etc/pbs-filter.toml first, then /etc/pbs-filter.d/*.toml in the order of their names. Of another
main file NAME.toml the drop-ins are in NAME.d.
"""

from __future__ import annotations

import os
import stat

from ..errors import ConfigError
from .options import DEFAULT_PATH

SUFFIX = ".toml"


def read_files(path: str | None = None) -> dict[str, str]:
    """Return the texts of the configuration's files, by their paths, in the order in which they
    count.

    Args:
        path: the main file; None: the default one, which need not exist.

    Raises:
        ConfigError: a file cannot be read, or somebody else could have written it.
    """
    main = path or DEFAULT_PATH
    paths = [main] if path or os.path.exists(main) else []
    advice = f"mend the path, or leave --config away for {DEFAULT_PATH}, which need not exist"
    directory = f"{main.removesuffix(SUFFIX)}.d"
    if main.endswith(SUFFIX) and os.path.isdir(directory):
        try:
            _refuse_writable(os.stat(directory), directory)
            names = sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
        except OSError as error:
            raise ConfigError(_cannot_read(directory, error, advice)) from None
        paths += [f"{directory}/{name}" for name in names if not name.startswith(".")]
    return {each: _text(each, advice) for each in paths}


def read_list(path: str) -> list[str]:
    """Return the items of a file with one a line; empty lines and those with # in front are none.

    Raises:
        ConfigError: as for a file of the configuration.
    """
    lines = (line.strip() for line in _text(path, "mend the path").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _text(path: str, advice: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            _refuse_writable(os.fstat(file.fileno()), path)
            return file.read()
    except OSError as error:
        raise ConfigError(_cannot_read(path, error, advice)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path!r} is not UTF-8: {error}; write it again as UTF-8") from None


def _cannot_read(path: str, error: OSError, advice: str) -> str:
    todo = (
        "run this as root, or as an account that may read it"
        if isinstance(error, PermissionError)
        else advice
    )
    return f"cannot read {path!r}: {error.strerror}; {todo}"


def _refuse_writable(status: os.stat_result, path: str) -> None:
    """Refuse a file or directory that another account could have written.

    Raises:
        ConfigError: it belongs to another account, or everybody may write it.
    """
    mode = status.st_mode
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{path!r} belongs to uid {status.st_uid}, who could write anything into it: "
            f"chown root {path}, after a look at its text"
        )
    if not stat.S_ISCHR(mode) and mode & 0o002:  # as /dev/null is
        raise ConfigError(
            f"{path!r} may be written by everybody (mode {mode & 0o7777:04o}): "
            f"chmod o-w {path}, after a look at its text"
        )
