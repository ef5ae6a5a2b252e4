"""Manual pages in man(7), which both groff and mandoc read. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

_SENTENCE = re.compile(r"(?<=[.:]) +(?=[A-Z])")
_QUOTED = re.compile(r"\\\(ga(.*?)\\\(ga", re.DOTALL)
_SIGNS = str.maketrans(
    {
        "\\": "\\e",
        # Everything here may be pasted into a shell or a file: no typographer's quotes and dashes.
        "-": "\\-",
        "'": "\\(aq",
        "`": "\\(ga",
        "^": "\\(ha",
        "~": "\\(ti",
        '"': "\\(dq",
    }
)


def escape(text: str) -> str:
    """`text` as it is to appear on paper."""
    lines = text.translate(_SIGNS).split("\n")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in lines)


def bold(text: str) -> str:
    """What is to be typed as it is."""
    return f"\\fB{escape(text)}\\fR"


def italic(text: str) -> str:
    """What stands for something else."""
    return f"\\fI{escape(text)}\\fR"


def head(name: str, section: int, *, version: str, date: str) -> str:
    """The first lines of a page."""
    return (
        '.\\" Made by "python -m pbs_filter.manual": change that, not this.\n'
        f'.TH {name.upper()} {section} {date} "pbs\\-filter {version}" "POP\\-before\\-SMTP"\n'
    )


def section(title: str, *parts: str) -> str:
    """A section of ready roff."""
    return f'.SH "{title.upper()}"\n' + "".join(parts).removeprefix(".PP\n")


def subsection(title: str, *parts: str) -> str:
    """A part of a section."""
    return f'.SS "{escape(title)}"\n' + "".join(parts).removeprefix(".PP\n")


def prose(text: str) -> str:
    """Sentences, each on a line of its own as roff wants it; what is `quoted` becomes bold."""
    lines = [
        line
        for sentence in _SENTENCE.split(text)
        for line in textwrap.wrap(sentence, 66, break_long_words=False, break_on_hyphens=False)
    ]
    return _QUOTED.sub(r"\\fB\1\\fR", escape("\n".join(lines)))


def paragraphs(*texts: str) -> str:
    """Paragraphs of plain text."""
    return "".join(f".PP\n{prose(text)}\n" for text in texts)


def item(tag: str, text: str, *more: str) -> str:
    """A hanging paragraph: `tag` is roff, `text` and the paragraphs after it are plain."""
    rest = "".join(f".IP\n{prose(paragraph)}\n" for paragraph in more if paragraph)
    return f".TP\n{tag}\n{prose(text)}\n{rest}"


def example(text: str) -> str:
    """Lines as they are."""
    return f".PP\n.nf\n.RS 4\n{escape(text)}\n.RE\n.fi\n"


def references(pages: Iterable[tuple[str, int]]) -> str:
    """The list of a SEE ALSO section."""
    return (
        ".PP\n" + ",\n".join(f"\\fB{escape(name)}\\fR({number})" for name, number in pages) + "\n"
    )
