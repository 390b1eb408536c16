"""The timeline of a run as a page that needs nothing else: the picture, and a table of figures below it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from leasegrid.cli import palette, svg

_STYLE = f"""
body{{margin:0 auto;max-width:{svg.WIDTH}px;padding:24px 16px;font:15px/1.5 {palette.FONT};\
background:{palette.LIGHT["paper"]};color:{palette.LIGHT["ink"]}}}
svg{{max-width:100%;height:auto}}
table{{border-collapse:collapse;margin:8px 32px 24px;font-variant-numeric:tabular-nums}}
caption{{text-align:left;font-weight:600;padding:12px 0 6px}}
th,td{{text-align:left;font-weight:400;padding:4px 40px 4px 0;border-bottom:1px solid {palette.LIGHT["grid"]};\
vertical-align:top}}
th{{color:{palette.LIGHT["soft"]}}}
@media (prefers-color-scheme:dark){{
body{{background:{palette.DARK["paper"]};color:{palette.DARK["ink"]}}}
th,td{{border-color:{palette.DARK["grid"]}}}
th{{color:{palette.DARK["soft"]}}}
}}
"""


@dataclass(frozen=True)
class Table:
    """Figures under one heading, each a name and a value in words."""

    heading: str
    rows: Sequence[tuple[str, str]]


def render(picture: svg.Picture, tables: Sequence[Table]) -> str:
    """The page as one HTML document without scripts or references to other files."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>{escape(picture.title)}: lease timeline</title>",
            f"<style>{_STYLE}</style></head>",
            "<body>",
            svg.render(picture).rstrip(),
            *(_table(table) for table in tables),
            "</body>",
            "</html>",
            "",
        ]
    )


def _table(table: Table) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>\n' for name, value in table.rows
    )
    return f"<table><caption>{escape(table.heading)}</caption>\n{rows}</table>"
