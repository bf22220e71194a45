"""A table of which nothing is cut: names are copied from it into the next command."""

from __future__ import annotations

from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

_UNBOUNDED = 100_000  # cells


class WholeTable(Table):
    """A table whose cells are shown whole at every width of a terminal.

    Columns with `no_wrap` keep to one line. The others break between words where the terminal is
    too narrow; one that is too narrow even then breaks the table's lines itself. Without a terminal
    each row is one line.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, wider than the console if they have to be."""
        unbounded = options.update(max_width=_UNBOUNDED)

        def measured(cell: Any) -> Measurement:
            return Measurement.get(console, unbounded, cell)

        for column in self.columns:
            sizes = [measured(cell) for cell in (column.header, *column.cells)]
            column.min_width = max(
                size.maximum if column.no_wrap else size.minimum for size in sizes
            )
        whole = measured(self)
        width = max(options.max_width, whole.minimum) if console.is_terminal else whole.maximum
        yield from super().__rich_console__(console, options.update(max_width=width))


def plain_table(*columns: Column | str, show_header: bool = True) -> WholeTable:
    """Return a table without lines between its cells.

    Args:
        columns: Each a column, or the title of one that keeps to one line.
        show_header: Whether the titles are shown.
    """
    return WholeTable(
        *(Column(each, no_wrap=True) if isinstance(each, str) else each for each in columns),
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        show_header=show_header,
    )
