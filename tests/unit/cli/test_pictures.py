"""The timeline as SVG, as a page, and as text."""

import re
from itertools import pairwise
from xml.etree import ElementTree

from leasegrid.cli import graph, page, palette, svg
from tasklet_runner.coordinator.progress import TimelinePoint

RUN = (
    TimelinePoint(0.0, 0, 0, 0),
    TimelinePoint(1.0, 2, 2, 0),
    TimelinePoint(3.0, 2, 1, 5),
    TimelinePoint(4.0, 0, 0, 6),
)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(points: tuple[TimelinePoint, ...], title: str = "job", subtitle: str = "six chunks") -> ElementTree.Element:
    return ElementTree.fromstring(svg.render(svg.Picture(title, subtitle, points)))  # noqa: S314 - our own document


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def test_the_picture_names_title_series_peaks_and_unit() -> None:
    said = texts(drawn(RUN))

    for expected in (
        "job",
        "six chunks",
        "members under lease",
        "chunks running",
        "chunks done",
        "at most 2",
        "6 in all",
    ):
        assert expected in said
    assert "time since the start, in s" in said


def test_the_curve_rises_to_the_plateau_and_falls_to_zero() -> None:
    lines = [path.get("d", "") for path in drawn(RUN).iter(f"{SVG}path") if path.get("stroke-width") == "2"]
    heights = [float(height) for height in re.findall(r"(?:M[\d.]+ |V)([\d.]+)", lines[0])]

    ground, plateau, end = heights
    assert plateau < ground
    assert end == ground


def test_a_title_with_markup_is_shown_and_not_obeyed() -> None:
    assert "<b>&" in texts(drawn(RUN, title="<b>&"))


def test_a_run_without_points_is_still_a_picture() -> None:
    assert "at most 0" in texts(drawn(()))


def test_a_run_with_two_thousand_changes_stays_a_small_file() -> None:
    many = tuple(TimelinePoint(index / 7, index % 50, index % 60, index * 3) for index in range(2000))

    assert len(svg.render(svg.Picture("long", "", many))) < 200_000


def test_the_page_needs_nothing_but_itself_and_shows_the_figures() -> None:
    whole = page.render(svg.Picture("job", "sub", RUN), [page.Table("Figures", [("chunks <all>", "6")])])

    assert "chunks &lt;all&gt;" in whole
    assert "<script" not in whole
    assert not re.findall(r'(?:src|href)="', whole)


def test_each_colour_has_a_dark_twin_and_stands_out_from_its_background() -> None:
    assert palette.LIGHT.keys() == palette.DARK.keys()
    for colours in (palette.LIGHT, palette.DARK):
        for name in ("ink", "soft", "leased", "running", "done", "failed"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_terminal_graph_shows_ramp_plateau_and_zero() -> None:
    lines = graph.render(RUN, graph.Canvas(columns=8))

    assert lines == [
        "members under lease",
        "2 ┤  █████",
        "  ┤  █████",
        "0 └────────",
        "   0 2 s4 s",
        "chunks done",
        "6 ┤      ▇█",
    ]


def test_a_terminal_without_block_characters_gets_ascii() -> None:
    assert all(line.isascii() for line in graph.render(RUN, graph.Canvas(columns=40, blocks=False)))


def test_a_run_without_points_has_no_graph() -> None:
    assert graph.render((), graph.Canvas()) == []


def test_a_column_shows_the_highest_value_within_it() -> None:
    points = tuple(TimelinePoint(second, leased, 0, 0) for second, leased in ((0.0, 1), (1.0, 9), (1.1, 1), (10.0, 1)))

    assert graph.columns(points, lambda point: point.leased, 5) == [9, 1, 1, 1, 1]


def test_panels_do_not_overlap() -> None:
    tops = [
        float(element.get("y", "0")) for element in drawn(RUN).iter(f"{SVG}text") if "name" in element.get("class", "")
    ]

    assert all(below - above > 50 for above, below in pairwise(tops))
