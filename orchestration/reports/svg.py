"""Matplotlib drawings as inline SVG that takes its colours and fonts from the page.

A page is light or dark, and its names come from whoever declared them. Matplotlib therefore draws
with stand-ins: colours that become CSS variables, and numbered labels that become the texts. No
name is ever read as mathematics or measured in a font that lacks its letters.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, RULE, SURFACE = "#010101", "#020202", "#030303", "#040404"
BETTER, WORSE, UNCLEAR = "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    SURFACE: "var(--surface)",
    BETTER: "var(--better)",
    WORSE: "var(--worse)",
    UNCLEAR: "var(--unclear)",
}
# at this resolution a unit of the drawing is a CSS pixel
UNITS_PER_INCH = 72
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"


class Drawing:
    """A drawing of so many CSS pixels; the origin is the upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._figure = Figure(figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH))
        self._labels: list[str] = []

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add bare axes at a place in pixels."""
        axes = self._figure.add_axes(
            (
                left / self.width,
                1 - (top + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.patch.set_visible(False)
        axes.tick_params(length=0, labelsize=11, labelcolor=MUTED, pad=4)
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def label(self, text: str) -> str:
        """Return the stand-in of a text, for Matplotlib."""
        self._labels.append("".join(each if each.isprintable() else "\ufffd" for each in text))
        return f"label{len(self._labels) - 1}"

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write a text with its base line at a place in pixels; `ha` aligns it."""
        style = {"fontsize": 12, "color": INK, **style}
        self._figure.text(x / self.width, 1 - y / self.height, self.label(text), **style)

    def to_svg(self, name: str, title: str, description: str) -> str:
        """Return the drawing as an SVG element.

        Args:
            name: Unique in the page; every id begins with it.
            title: What it shows, for those who cannot see it.
            description: What it says, in words.
        """
        buffer = StringIO()
        # texts stay texts; with a salt, equal drawings are equal files
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "attune"}):
            self._figure.savefig(
                buffer,
                format="svg",
                transparent=True,
                metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
            )
        root = ET.fromstring(buffer.getvalue())  # noqa: S314 (written above)
        for style in root.findall(f"{_SVG}defs/{_SVG}style/.."):
            root.remove(style)
        for element in root.iter():
            self._adapt(element, name)
        for attribute in ("width", "height", "version"):
            root.attrib.pop(attribute)
        root.set("role", "img")
        root.set("class", "drawing")
        root.set("aria-labelledby", f"{name}-title {name}-text")
        for place, (tag, text) in enumerate((("title", title), ("desc", description))):
            element = ET.Element(f"{_SVG}{tag}")
            element.set("id", f"{name}-{'title' if tag == 'title' else 'text'}")
            element.text = text
            root.insert(place, element)
        ET.register_namespace("", _SVG.strip("{}"))
        return ET.tostring(root, encoding="unicode")

    def _adapt(self, element: ET.Element, name: str) -> None:
        if "id" in element.attrib:
            element.set("id", f"{name}-{element.attrib['id']}")
        if _HREF in element.attrib:
            element.set("href", f"#{name}-{element.attrib.pop(_HREF).removeprefix('#')}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.attrib["clip-path"].replace("#", f"#{name}-"))
        if "style" in element.attrib:
            style = re.sub(r"font-family:[^;]*;?\s*", "", element.attrib["style"])
            element.set(
                "style",
                re.sub(r"#[0-9a-f]{6}", lambda found: VARIABLES.get(found[0], found[0]), style),
            )
        if element.tag == f"{_SVG}text" and (element.text or "").startswith("label"):
            element.text = self._labels[int((element.text or "").removeprefix("label"))]
