"""The build is setuptools' own, in an empty `build/lib`: a wheel is made of all that is there.

`pip install .` in a clone leaves it behind. After `git pull` a module that is gone, such as a
server's file, would be installed again, and read.
"""

from shutil import rmtree

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, str | list[str] | None] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel (PEP 517) and return its name."""
    rmtree("build/lib", ignore_errors=True)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
