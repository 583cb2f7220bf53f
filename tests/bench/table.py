"""Tables in Markdown, so that a figure can be pasted where it is recorded."""

from collections.abc import Sequence


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints the title and the table; figures are right-aligned, the first column left."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    rule = ["-" * width + ":" for width in widths[1:]]
    print(f"\n{title}\n")
    print(_line(columns, widths))
    print(f"|{'-' * (widths[0] + 2)}|{'|'.join('-' + dashes for dashes in rule)}|")
    for row in rows:
        print(_line(row, widths))
    print(flush=True)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *others])} |"
