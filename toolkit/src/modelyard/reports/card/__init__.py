"""Model card: purpose of a model, how it was judged, its limits, who approved it.

The card is made from evidence files and conf/project.yml, and from nothing else (after Mitchell et
al. 2019, Model Cards for Model Reporting, FAT*).
"""

from modelyard.reports.card.content import Card, Part, Table, card
from modelyard.reports.card.markdown import markdown
from modelyard.reports.card.writing import html, write_card

__all__ = ["Card", "Part", "Table", "card", "html", "markdown", "write_card"]
