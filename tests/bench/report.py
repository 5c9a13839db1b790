"""Tables of figures, the lines of the issue's "Reach", and docs/explanation/benchmarks.md."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.reasons import reasons_for

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "explanation" / "benchmarks.md"


@dataclass
class Table:
    """One benchmark's figures."""

    title: str
    heads: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """One more row."""
        self.rows.append([str(cell) for cell in cells])

    def markdown(self) -> str:
        """As GitHub shows it."""
        lines = [f"### {self.title}", "", "| " + " | ".join(self.heads) + " |"]
        lines.append("|" + "|".join("---" if n == 0 else "---:" for n in range(len(self.heads))) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join([*lines, ""])


@dataclass(frozen=True)
class Line:
    """One line of the Reach table."""

    what: str
    wanted: str
    figure: str
    is_reached: bool

    def markdown(self) -> str:
        """As a row."""
        return f"| {self.what} | {self.wanted} | {self.figure} | {'reached' if self.is_reached else '**missed**'} |"


@dataclass
class Report:
    """Everything one run found."""

    tables: list[Table] = field(default_factory=list)
    reach: list[Line] = field(default_factory=list)

    def reached(self, what: str, wanted: str, figure: str, is_reached: bool) -> None:
        """Hold a figure against what the issue asks for."""
        self.reach.append(Line(what, wanted, figure, is_reached))

    def markdown(self) -> str:
        """The whole section."""
        parts = [table.markdown() for table in self.tables]
        if self.reach:
            lines = ["### Reach", "", "| what | at least | measured | |", "|---|---|---|---|"]
            lines += [line.markdown() for line in self.reach]
            if missed := [line.what for line in self.reach if not line.is_reached]:
                lines += ["", "What is missed, and why:", "", *(f"- {reason}" for reason in reasons_for(missed))]
            parts.append("\n".join([*lines, ""]))
        return "\n".join(parts)


def write_section(name: str, text: str, path: Path = DOCUMENT) -> None:
    """Put a run's section into the document, in place of the one it had; whatever else stands there stays."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n{text.rstrip()}\n{end}"
    found = path.read_text() if path.exists() else "# Benchmarks\n"
    if begin in found and end in found:
        before, _, rest = found.partition(begin)
        found = before + section + rest.partition(end)[2]
    else:
        found = f"{found.rstrip()}\n\n{section}\n"
    path.write_text(found)


def median(values: Sequence[float]) -> float:
    """Of at least one value."""
    return statistics.median(values)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and between which values it lies."""
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def ms(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{seconds * 1000:,.1f}" if seconds < 0.1 else f"{seconds * 1000:,.0f}"
