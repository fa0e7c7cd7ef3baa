"""Small plots as SVG, legible on light and on dark pages."""

from collections.abc import Sequence
from html import escape
from typing import Final

_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # distinct for the colour-blind, too
_WIDTH: Final = 760
_LABELS: Final = 190
_BAR: Final = 16
_ROW: Final = 22
_HEAD: Final = 64
_STYLE: Final = (
    "<style>text{font:13px system-ui,sans-serif;fill:#1b1f24}.title{font-weight:600;font-size:15px}"
    ".muted{fill:#59636e}</style>"
)


def stacked_bars(title: str, parts: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]], *, unit: str) -> str:
    """Horizontal bars made of parts.

    Args:
        title: Of the plot.
        parts: Their names; one part makes a plain bar chart.
        rows: A label and a value for each part; without values the label is a heading.
        unit: Of the values.
    """
    longest = max((sum(values) for _, values in rows), default=0) or 1
    scale = (_WIDTH - _LABELS - 90) / longest
    drawn = []
    top = _HEAD
    for label, values in rows:
        if not values:
            drawn.append(_text(8, top + 16, label, "title"))
            top += _ROW + 4
            continue
        drawn.append(_text(_LABELS - 8, top + 12, label, anchor="end"))
        left = float(_LABELS)
        for colour, value in zip(_COLOURS, values, strict=False):
            drawn.append(
                f'<rect x="{left:.1f}" y="{top}" width="{value * scale:.1f}" height="{_BAR}" fill="{colour}"/>'
            )
            left += value * scale
        drawn.append(_text(left + 6, top + 12, f"{_short(sum(values))} {unit}", "muted"))
        top += _ROW
    legend = _legend(parts) if len(parts) > 1 else []
    return _svg(title, [*legend, *drawn], top + 12)


def line(title: str, xs: Sequence[float], ys: Sequence[float], *, x_name: str, y_name: str) -> str:
    """A line through points, from zero up."""
    height, bottom = 300, 250
    right, left = _WIDTH - 20, 70
    highest = max(ys, default=0) * 1.15 or 1
    furthest = max(xs, default=0) or 1
    points = " ".join(
        f"{left + x / furthest * (right - left):.1f},{bottom - y / highest * (bottom - _HEAD):.1f}"
        for x, y in zip(xs, ys, strict=True)
    )
    drawn = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        level = bottom - share * (bottom - _HEAD)
        drawn.append(f'<line x1="{left}" x2="{right}" y1="{level:.1f}" y2="{level:.1f}" stroke="#d1d9e0"/>')
        drawn.append(_text(left - 8, level + 4, _short(share * highest), "muted", anchor="end"))
        across = left + share * (right - left)
        drawn.append(_text(across, bottom + 18, f"{share * furthest:.0f}", "muted", anchor="middle"))
    drawn.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[0]}" stroke-width="2"/>')
    drawn.append(_text((left + right) / 2, bottom + 38, x_name, "muted", anchor="middle"))
    drawn.append(_text(8, _HEAD - 12, y_name, "muted"))
    return _svg(title, drawn, height)


def _legend(parts: Sequence[str]) -> list[str]:
    drawn = []
    left = _LABELS
    for colour, part in zip(_COLOURS, parts, strict=False):
        drawn.append(f'<rect x="{left}" y="36" width="12" height="12" fill="{colour}"/>')
        drawn.append(_text(left + 18, 47, part))
        left += 40 + 8 * len(part)
    return drawn


def _text(x: float, y: float, content: str, kind: str = "", *, anchor: str = "start") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{marked}>{escape(content)}</text>'


def _svg(title: str, drawn: Sequence[str], height: int) -> str:
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'aria-label="{escape(title)}">',
            _STYLE,
            f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
            _text(8, 24, title, "title"),
            *drawn,
            "</svg>",
            "",
        )
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
