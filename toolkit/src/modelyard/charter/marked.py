"""Pages of which a part is generated: what people write outside its marks stays, and inside is not lost unsaid."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import has_file, read_text, write_text

BEGIN = "<!-- `mlops charter` writes from here to the next mark; write above or below. -->"
END = "<!-- Written by `mlops charter`, digest {}: once edited, only --force replaces it. -->"
_PART = re.compile(
    rf"{re.escape(BEGIN)}(?P<text>.*?)<!-- Written by `mlops charter`, digest (?P<digest>\w+).*?-->",
    re.DOTALL,
)


def write_marked(path: Path, part: str, *, before: str, after: str, force: bool) -> None:
    """Write the generated part of a page, between `before` and `after` where there is no page yet.

    Raises:
        UsageError: somebody has edited the part, and not `force`; or its marks are missing.
    """
    new = f"{BEGIN}\n\n{part.strip()}\n\n{END.format(_digest(part))}"
    if not has_file(path):
        write_text(path, f"{before}\n\n{new}\n\n{after}\n")
        return
    text = read_text(path)
    old = _PART.search(text)
    if old is None:
        raise UsageError(
            f"{path}: expected a part between two marks, the first `{BEGIN}`; bring them back from git, or "
            "move the file away: a new one is written then"
        )
    if _digest(old["text"]) != old["digest"] and not force:
        raise UsageError(
            f"{path}: the part between the marks was edited, and would be lost: move what you wrote above or "
            "below it, then --force writes the part anew"
        )
    write_text(path, f"{text[: old.start()]}{new}{text[old.end() :]}")


def _digest(text: str) -> str:
    return sha256(text.strip().encode()).hexdigest()[:16]
