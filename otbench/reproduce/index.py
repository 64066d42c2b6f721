"""The overview page of all reproductions in a results folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from otbench.results.cell import read_json

HEAD = """\
# Reproductions

This page lists the claims of papers in figures and tables with their verdicts. `otbench reproduce`
writes it. The 95 % t-interval of the margin over at least five paired seeds decides the verdict:
**holds**, **fails**, or **not distinguishable**. With fewer seeds it is **too few seeds**. A claim
is **void** if a seed failed. It is **shown** but not judged if the method was trained on the
number, or if its settings were chosen by it. **Not measured** comes with the reason.
"""


def write_index(folder: Path) -> Path:
    """Write ``README.md`` from the JSON files of a folder of reproductions.

    Parameters
    ----------
    folder : Path
        The folder ``reproduce/`` in a results folder.

    Returns
    -------
    Path
    """
    contents = [read_json(file) for file in sorted(folder.glob("*.json"))]
    contents.sort(key=lambda content: _order(content["id"]))
    count = Counter(verdict["status"] for content in contents for verdict in content["verdicts"])
    total = ", ".join(f"{n} {status}" for status, n in count.most_common())
    sections = [_section(content) for content in contents]
    path = folder / "README.md"
    path.write_text("\n".join([HEAD, f"Claims so far: {total}.", *sections]))
    return path


def _order(id_: str) -> tuple[str, str, int]:
    """Return a sort key that puts fig10 after fig9."""
    paper, _, part = id_.partition("/")
    letters = part.rstrip("0123456789")
    return paper, letters, int(part[len(letters) :] or 0)


def _section(content: dict[str, Any]) -> str:
    lines = [f"\n## {content['id']}\n", f"{content['title']}. {content['paper']}.", ""]
    lines += [
        f"Preset `{content['preset']}`.",
        "",
        "| claim | verdict | measured |",
        "| --- | --- | --- |",
    ]
    for verdict in content["verdicts"]:
        cells = (
            verdict["says"],
            f"**{verdict['status']}**",
            f"`{verdict['check']}`: {verdict['detail']}",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", *(f"- {name}: `{text}`" for name, text in content["methods"].items())]
    if content["note"]:
        lines += ["", f"Note: {content['note']}."]
    picture = next((name for name in content["files"] if name.endswith(".png")), None)
    if picture:
        lines += ["", f"![{content['id']}]({picture})"]
    return "\n".join(lines)
