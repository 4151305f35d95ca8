"""The deck: slides in one HTML file that loads nothing, from the headings of deck.md."""

from __future__ import annotations

import base64
import mimetypes
import re
from pathlib import Path

import jinja2
import markdown
from playbook import recording

DOCS = Path(__file__).parent


def deck() -> str:
    """Make the page: a slide per heading, with pictures and recordings inside."""
    text = (DOCS / "deck.md").read_text(encoding="utf-8")
    text = re.sub(
        r"^{recording: (.+)}$", lambda found: recording(found[1]), text, flags=re.MULTILINE
    )
    slides = [
        re.sub(r'src="([^":]+)"', lambda found: f'src="{_inside(DOCS / found[1])}"', made)
        for made in (
            markdown.markdown(slide, extensions=["tables", "fenced_code", "md_in_html"])
            for slide in re.split(r"^(?=##? )", text, flags=re.MULTILINE)
            if slide.strip()
        )
    ]
    title = text.splitlines()[0].removeprefix("# ")
    template = (DOCS / "templates" / "deck.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(title=title, slides=slides)


def _inside(picture: Path) -> str:
    kind, _ = mimetypes.guess_type(picture.name)
    return f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
