"""report: what the runner prints.

SPDX-License-Identifier: Apache-2.0
"""

from . import grades
from .cases import order


def line_of(verdict, lenient):
    word = "skipped" if verdict.skipped else "ok" if verdict.passed(lenient) else "FAILED"
    marks = verdict.grade
    if verdict.grade != verdict.close:
        marks += f", close {verdict.close}"
    text = f"{word:7} {verdict.case.id:28} {verdict.how:7} {'' if verdict.skipped else marks}"
    return f"{text.rstrip()}{': ' + verdict.why if verdict.why else ''}"


def table(verdicts, groups):
    """One line for each group: how its cases went, over all deliveries."""
    row = "{:22} {:>5} {:>6} {:>7} {:>5} {:>6} {:>5}  {}"
    yield row.format("group", "OK", "N-STR", "FAILED", "INFO", "CLOSE", "SKIP", "subject")
    rows = {}
    for verdict in verdicts:
        rows.setdefault(verdict.case.group, []).append(verdict)
    for group in sorted(rows, key=order):
        counts = [0] * 6
        for verdict in rows[group]:
            counts[column_of(verdict)] += 1
        yield row.format(group, *(count or "." for count in counts), groups[group])


def column_of(verdict):
    if verdict.skipped:
        return 5
    if verdict.grade == grades.INFORMATIONAL:
        return 3
    if verdict.grade == grades.NON_STRICT:
        return 1
    if verdict.grade == grades.FAILED:
        return 2
    return 0 if verdict.close == grades.OK else 4


def sums(verdicts, lenient):
    skipped = sum(verdict.skipped for verdict in verdicts)
    passed = sum(verdict.passed(lenient) for verdict in verdicts if not verdict.skipped)
    return passed, len(verdicts) - skipped - passed, skipped
