"""Writes everything that is made from the code: `python -m tests.generated`."""

from . import write

for path in write():
    print(f"{path}: written anew")
