"""A book as one SQL expression, so that thousands of cases are decided by one statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.core.rules.book import OTHERWISE, Book, Rule, Span


def compile_case(book: Book, columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    """An expression that gives the number of the rule that decides, as ``decide`` does, and its values in order.

    ``columns``: by fact, the SQL that stands for it, never NULL; written by the caller, never by people.
    """
    whens: list[str] = []
    values: list[Any] = []
    for number, rule in enumerate(book.rules, start=1):
        test = _test(rule, columns, values)
        whens.append(f"WHEN {test} THEN {number}")
        if test == "true":
            break
    if not whens:
        return f"{OTHERWISE}", []
    return f"CASE {' '.join(whens)} ELSE {OTHERWISE} END", values


def _test(rule: Rule, columns: Mapping[str, str], values: list[Any]) -> str:
    parts: list[str] = []
    for name, spans in rule.spans.items():
        tests = [_span(columns[name], span, values) for span in spans]
        parts.append(tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})")
    for name, words in rule.words.items():
        parts.append(f"{columns[name]} = ANY(%s)")
        values.append(sorted(words))
    return " AND ".join(part for part in parts if part != "true") or "true"


def _span(column: str, span: Span, values: list[Any]) -> str:
    tests: list[str] = []
    if span.over is not None:
        tests.append(f"{column} > %s")
        values.append(span.over)
    if span.up_to is not None:
        tests.append(f"{column} <= %s")
        values.append(span.up_to)
    return f"({' AND '.join(tests)})" if tests else "true"
