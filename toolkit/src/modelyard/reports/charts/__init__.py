"""Charts as inline SVG without a library or a script; colours come from the page's style sheet.

Figures have a fixed view box that scales, with a title and a description for screen readers. Charts
for table cells are as wide as their cell (positions in percent) and hidden from screen readers, as
the cell beside them holds the numbers.
"""

from modelyard.reports.charts.axes import HEIGHT, Mark
from modelyard.reports.charts.bars import bar, compared_bars, range_bar, share_bar, stack
from modelyard.reports.charts.dots import Dot, dot_rows, interval_rows, strip
from modelyard.reports.charts.drawing import WIDTH, key
from modelyard.reports.charts.heatmap import heatmap, shade
from modelyard.reports.charts.histograms import compared_histogram, histogram
from modelyard.reports.charts.lines import Moment, Point, Series, plot, sparkline, trend
from modelyard.reports.charts.scales import coordinate, padded, tick_labels, ticks

__all__ = [
    "HEIGHT",
    "WIDTH",
    "Dot",
    "Mark",
    "Moment",
    "Point",
    "Series",
    "bar",
    "compared_bars",
    "compared_histogram",
    "coordinate",
    "dot_rows",
    "heatmap",
    "histogram",
    "interval_rows",
    "key",
    "padded",
    "plot",
    "range_bar",
    "shade",
    "share_bar",
    "sparkline",
    "stack",
    "strip",
    "tick_labels",
    "ticks",
    "trend",
]
