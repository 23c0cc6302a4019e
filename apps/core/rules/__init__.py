"""Books of rules as data: read, decide, check for rules that can never decide, and write as SQL. Free of Django.

What is weighed (facts), and what follows (outcomes), is the business of the rooms that use it.
"""

from apps.core.rules.book import (
    OTHERWISE,
    BadBook,
    Book,
    Choice,
    Facts,
    Number,
    Rule,
    Schema,
    Span,
    decide,
    read_book,
)
from apps.core.rules.checking import Problem, check
from apps.core.rules.compiled import compile_case

__all__ = [
    "OTHERWISE",
    "BadBook",
    "Book",
    "Choice",
    "Facts",
    "Number",
    "Problem",
    "Rule",
    "Schema",
    "Span",
    "check",
    "compile_case",
    "decide",
    "read_book",
]
