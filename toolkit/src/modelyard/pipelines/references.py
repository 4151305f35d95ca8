"""References in commands and bindings: `${{inputs.x}}`, `${{parent.jobs.a.outputs.b}}`, `$[[…]]`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


def references(text: str) -> list[str]:
    """What a text refers to, such as `inputs.x`, in order."""
    return _REFERENCE.findall(text)


def required_references(command: str) -> list[str]:
    """What a command refers to outside its optional `$[[…]]` parts."""
    return references(_OPTIONAL.sub("", command))


def out_of_quotes(command: str) -> list[str]:
    """What a command refers to without quotes around it, which is split at its blanks by a shell."""
    return references(re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", "", command))


def reference(binding: Any) -> list[str] | None:
    """The parts of a binding that is one reference and nothing else; None for any other value."""
    found = _REFERENCE.fullmatch(reference_text(binding))
    return parts(found[1]) if found else None


def parts(name: str) -> list[str]:
    """The parts of a reference; an input of a group has a name with dots."""
    return name.split(".", 2 if name.startswith("parent.inputs.") else -1)


def reference_text(binding: Any) -> str:
    """The text of a binding, written as a string or as `{path: …}` with an optional mode."""
    if isinstance(binding, dict) and isinstance(binding.get("path"), str):
        return str(binding["path"]).strip()
    return binding.strip() if isinstance(binding, str) else ""


def replaced(text: str, values: Mapping[str, str]) -> str:
    """A text with the references that there is a value for replaced."""
    return _REFERENCE.sub(lambda found: values.get(found[1], found[0]), text)


def module_of(command: str) -> str | None:
    """The Python module of a plain `python -m module …` command, else None.

    Plain is a command that a shell would only split into words: it needs no shell.
    """
    bare = _REFERENCE.sub("", _OPTIONAL.sub(lambda found: found[1], command)).strip()
    if re.search(r"[|&;<>`\n$*?~#\\!(){}\[\]]", bare):
        return None
    try:
        parts = shlex.split(_REFERENCE.sub("x", command))
    except ValueError:  # a quote without its other half
        return None
    return parts[2] if parts[:2] == ["python", "-m"] and len(parts) > 2 else None


def words(command: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> list[str]:
    """Split a plain command into words, with every reference replaced.

    The command is split before values go in, so a path with blanks stays one word.

    Args:
        command: without operators of a shell.
        inputs: value or path by name; an optional part whose input is missing is left out.
        outputs: path by name.
    """
    values = _values(inputs, outputs)
    template = _REFERENCE.sub(r"${{\1}}", _without_unbound(command, values))
    return [_REFERENCE.sub(lambda m: values[m.group(1)], word) for word in shlex.split(template)]


def shell_line(command: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """Replace the references of a command that needs a shell; see `words`.

    A value reaches the program as it is, whichever quotes the reference stands in.
    """
    values = _values(inputs, outputs)
    line: list[str] = []
    quote, commented = "", False
    for part in _PARTS.finditer(_without_unbound(command, values)):
        text = part[0]
        if part[1] is not None:
            line.append(_QUOTED[quote](values[part[1]]))
            continue
        begins_word = not line or line[-1].isspace() or line[-1] == ";"
        commented = text != "\n" and (commented or (text == "#" and not quote and begins_word))
        if not commented and text in ("'", '"') and quote in ("", text):
            quote = "" if quote else text
        elif text[0] == "\\" and quote == "'":  # a backslash means nothing there
            quote = "" if text[1:] == "'" else quote
        line.append(text)
    return "".join(line)


_PARTS = re.compile(_REFERENCE.pattern + r"|\\.|.", re.DOTALL)
_QUOTED: dict[str, Callable[[str], str]] = {
    "": shlex.quote,
    "'": lambda value: value.replace("'", "'\"'\"'"),
    '"': lambda value: re.sub(r'([\\"$`])', r"\\\1", value),
}


def _values(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, str]:
    return {f"inputs.{name}": value for name, value in inputs.items()} | {
        f"outputs.{name}": value for name, value in outputs.items()
    }


def _without_unbound(command: str, values: Mapping[str, str]) -> str:
    """Keep an optional `$[[…]]` part only if everything it refers to is bound."""

    def kept(match: re.Match[str]) -> str:
        return match[1] if all(name in values for name in references(match[1])) else ""

    return _OPTIONAL.sub(kept, command)
