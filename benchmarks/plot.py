"""Draws what `benchmarks.ticks --data FILE` measured: `python -m benchmarks.plot FILE docs/ticks.svg`."""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

NAMES = {
    "triarb": ("triarb", "#1f5fa8", "-"),
    "certificate": ("certificate in C++", "#d1772b", "--"),
    "triangle_index": ("triangles of the market in C++", "#7a7a7a", ":"),
}


def draw(data: Path, picture: Path) -> None:
    """One panel by turbulence, time against markets."""
    rows = json.loads(data.read_text())
    levels = sorted({row["per_minute"] for row in rows})
    mpl.rcParams.update({"svg.hashsalt": "triarb", "font.size": 9, "svg.fonttype": "none"})
    figure, panels = plt.subplots(1, len(levels), figsize=(9, 3.4), sharey=True)
    for panel, level in zip(panels, levels, strict=True):
        of_level = [row for row in rows if row["per_minute"] == level]
        markets = [row["markets"] for row in of_level]
        for name, (label, colour, line) in NAMES.items():
            if all(name in row["ns"] for row in of_level):
                times = [row["ns"][name] for row in of_level]
                panel.plot(markets, times, line, color=colour, marker="o", ms=4, label=label)
        panel.set(xscale="log", yscale="log", xlabel="markets", ylim=(2, 1500))
        panel.set_xticks(markets, [f"{count:,}" for count in markets])
        panel.minorticks_off()
        panel.set_title("calm" if not level else f"{level:g} dislocations a minute", fontsize=10)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ns a tick")
    panels[0].set_yticks(
        [2, 5, 10, 20, 50, 100, 200, 500, 1000],
        ["2", "5", "10", "20", "50", "100", "200", "500", "1,000"],
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None, dpi=120)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
