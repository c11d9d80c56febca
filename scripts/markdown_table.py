"""Lines of a table in Markdown, for the scripts that fill tables of the pages."""


def row(*cells: object) -> str:
    """Return one line."""
    return f"| {' | '.join(map(str, cells))} |"


def rule(columns: int) -> str:
    """Return the line below the titles of some columns."""
    return "|" + " --- |" * columns
