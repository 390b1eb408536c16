"""Colours of the pictures, light and dark, as one style sheet.

The three series are told apart by people with any colour vision; they, and what became of tasks, stand out from either
background by 4.5 to 1.
"""

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c2430",
    "soft": "#5b6675",
    "grid": "#e6eaf0",
    "axis": "#8f9bab",
    "leased": "#1f6fd0",
    "running": "#b85508",
    "done": "#0b7d5e",
    "failed": "#b3261e",
}
DARK = {
    "paper": "#11161d",
    "ink": "#e8edf4",
    "soft": "#a3b0c0",
    "grid": "#252e3a",
    "axis": "#66758a",
    "leased": "#6cb0ff",
    "running": "#f0a04b",
    "done": "#4fcfa6",
    "failed": "#ff8a80",
}
FONT = 'ui-sans-serif,-apple-system,"Segoe UI","Noto Sans","DejaVu Sans",Helvetica,Arial,sans-serif'


def style_sheet() -> str:
    """Classes `fill-NAME` and `stroke-NAME` for each colour, in a light and a dark set, and the sizes of text.

    Written without custom properties, which converters to other formats do not know.
    """
    return (
        f"text{{font-family:{FONT};font-size:12px;font-variant-numeric:tabular-nums}}"
        "text.title{font-size:20px;font-weight:600}text.subtitle{font-size:13px}text.name{font-weight:600}"
        f"{_classes(LIGHT)}@media (prefers-color-scheme:dark){{{_classes(DARK)}}}"
    )


def _classes(colours: dict[str, str]) -> str:
    return "".join(f".fill-{name}{{fill:{value}}}.stroke-{name}{{stroke:{value}}}" for name, value in colours.items())
