"""Draws results.json as results.svg: ratios as bars, growth as curves.

What updates send, by layering, becomes docs/layering.svg.

chart.py
"""

import json
import pathlib
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot

HERE = pathlib.Path(__file__).parent
OURS = "#1b6ca8"
OTHER = "#9aa5b1"
LAYERINGS = ((OTHER, None), ("#d8a03d", "//"), (OURS, None), ("#0b3c5d", ".."))
"""Colours and patterns of popularity, size, co-change, and co-change with a lock."""


def main() -> None:
    """Draw."""
    results = json.loads((HERE / "results.json").read_text())
    rows = [row for result in results.values() for row in result["rows"] if row["ratio"]]
    curves = [curve for result in results.values() for curve in result.get("curves", ())]
    # The same figures are the same file.
    pyplot.rcParams.update({"svg.hashsalt": "longshore", "font.size": 9})
    figure, axes = pyplot.subplots(
        1 + bool(curves),
        figsize=(9, 0.45 * len(rows) + 1.2 + (3 if curves else 0)),
        height_ratios=[0.45 * len(rows) + 1, 3] if curves else None,
        squeeze=False,
    )
    draw_ratios(axes[0, 0], rows)
    if curves:
        draw_growth(axes[1, 0], curves)
    figure.tight_layout()
    figure.savefig(HERE / "results.svg", metadata={"Date": None})
    if updates := results.get("sharing", {}).get("real_updates"):
        draw_updates(updates)


def draw_updates(updates: list[dict[str, Any]]) -> None:
    """Draw a bar for each layering and limit of layers: bytes sent, in multiples of the least."""
    figure, axes = pyplot.subplots(figsize=(7, 3))
    names = [name for name in updates[0]["means"] if name != "least"]
    for place, (name, (color, hatch)) in enumerate(zip(names, LAYERINGS, strict=True)):
        ratios = [found["means"][name] / found["means"]["least"] for found in updates]
        at = [number + (place - (len(names) - 1) / 2) * 0.2 for number in range(len(updates))]
        bars = axes.bar(at, ratios, width=0.18, label=name, color=color, hatch=hatch)
        axes.bar_label(
            bars, [f"{r:.2f}" if r < 2 else f"{r:.1f}" for r in ratios], padding=2, fontsize=8
        )
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.set_yticks([1, 2, 5, 10], ["1 ×", "2 ×", "5 ×", "10 ×"])
    axes.set_ylim(0.8, 20)
    axes.minorticks_off()
    axes.set_xticks(range(len(updates)), [f"{found['layers']} layers" for found in updates])
    axes.legend(frameon=False, fontsize=8, ncols=2)
    axes.set_title("What an update sends: multiples of what changes", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(HERE.parent / "docs/layering.svg", metadata={"Date": None})


def draw_ratios(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Draw a bar for each comparison: its median, and the least and the most."""
    rows = rows[::-1]
    medians = [row["ratio"]["median"] for row in rows]
    spread = [
        [row["ratio"]["median"] - row["ratio"]["low"] for row in rows],
        [row["ratio"]["high"] - row["ratio"]["median"] for row in rows],
    ]
    names = [f"{row['what']}\nbeside {row['against']}" for row in rows]
    bars = axes.barh(names, medians, xerr=spread, color=OURS, ecolor="black", height=0.6)
    axes.bar_label(bars, [f"{median:.1f} ×" for median in medians], padding=6)
    axes.axvline(1, color=OTHER, linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(0.5, 2 * max(medians))
    axes.set_xticks([1, 2, 5, 10, 20], ["1 ×", "2 ×", "5 ×", "10 ×", "20 ×"])
    axes.minorticks_off()
    axes.tick_params(axis="y", labelsize=8)
    axes.set_title("How many times as fast Longshore is", loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def draw_growth(axes: Any, curves: list[dict[str, Any]]) -> None:
    """Draw seconds over sizes, a line for each curve."""
    for curve in curves:
        axes.plot(curve["sizes"], curve["seconds"], marker="o", label=curve["name"])
    axes.set_xlabel("store paths")
    axes.set_ylabel("seconds")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.set_title("Planning without hashing", loc="left")
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
