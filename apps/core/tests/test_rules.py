"""Books of rules: three ways to decide agree on every case, and what never decides is found exactly."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core import sql
from apps.core.rules import (
    BadBook,
    Choice,
    Number,
    Problem,
    Schema,
    check,
    compile_case,
    decide,
    read_book,
)

WORDS = {"shop": frozenset("abc"), "why": frozenset("xy")}
SCHEMA = Schema(
    facts={
        "part": Number(0, 5),
        "total": Number(0, 5),
        "hour": Number(0, 5, turns=True),
        "shop": Choice(),
        "why": Choice(),
    },
    outcomes=frozenset({"go", "wait", "stop"}),
    orders=(("part", "total"),),
)
ALL_CASES: list[dict[str, int | str]] = [
    dict(zip(SCHEMA.facts, case, strict=True))
    for case in product(range(6), range(6), range(6), "abc", "xy")
    if int(case[0]) <= int(case[1])
]


@st.composite
def spans(draw: st.DrawFn) -> dict[str, int]:
    over, up_to = sorted(draw(st.lists(st.integers(-1, 5), min_size=2, max_size=2, unique=True)))
    return draw(st.sampled_from([{"over": over}, {"up_to": up_to}, {"over": over, "up_to": up_to}]))


@st.composite
def turns(draw: st.DrawFn) -> dict[str, int]:
    begins, ends = draw(st.integers(0, 5)), draw(st.integers(0, 6))
    return {"from": begins, "until": ends if ends != begins else (begins + 1) % 6}


def chosen(of: str) -> st.SearchStrategy[dict[str, list[str]]]:
    return st.lists(st.sampled_from(of), min_size=1, unique=True).map(lambda some: {"is": some})


RULES = st.fixed_dictionaries(
    {
        "when": st.fixed_dictionaries(
            {},
            optional={
                "part": spans(),
                "total": spans(),
                "hour": turns(),
                "shop": chosen("abc"),
                "why": chosen("xy"),
            },
        ),
        "outcome": st.sampled_from(["go", "wait", "stop"]),
    }
)
BOOKS = st.fixed_dictionaries(
    {
        "rules": st.lists(RULES, max_size=6),
        "otherwise": st.sampled_from(["go", "wait", "stop"]),
    }
)


def slow(content: dict[str, Any], case: dict[str, Any]) -> int:
    """The obvious way, from the JSON itself, going by every number that a condition means."""
    for number, rule in enumerate(content["rules"], start=1):
        fits = True
        for name, condition in rule["when"].items():
            if "is" in condition:
                allowed: list[Any] = condition["is"]
            elif "from" in condition:
                allowed, hour = [], condition["from"]
                while hour != condition["until"] % 6 or not allowed:
                    allowed.append(hour)
                    hour = (hour + 1) % 6
            else:
                allowed = [
                    value
                    for value in range(6)
                    if not (value <= condition.get("over", -1) or value > condition.get("up_to", 5))
                ]
            if case[name] not in allowed:
                fits = False
        if fits:
            return number
    return 0


@given(BOOKS)
def test_every_case_is_decided_as_the_obvious_way_does(content: dict[str, Any]) -> None:
    book = read_book(content, SCHEMA)
    for case in ALL_CASES:
        assert decide(book, case) == slow(content, case)


@pytest.mark.django_db
@settings(max_examples=60)
@given(content=BOOKS)
def test_the_statement_decides_the_same(content: dict[str, Any]) -> None:
    book = read_book(content, SCHEMA)
    case, values = compile_case(book, {name: f"f.{name}" for name in SCHEMA.facts})
    rows = sql.every(
        f"""
        SELECT {case} FROM ROWS FROM (unnest(%s::int[]), unnest(%s::int[]), unnest(%s::int[]), unnest(%s::text[]),
            unnest(%s::text[])) WITH ORDINALITY AS f(part, total, hour, shop, why, place) ORDER BY f.place
        """,  # noqa: S608  # our own names
        [*values, *([one[name] for one in ALL_CASES] for name in SCHEMA.facts)],
    )
    assert [row[0] for row in rows] == [slow(content, one) for one in ALL_CASES]


@given(BOOKS)
def test_what_never_decides_is_found_and_nothing_else(content: dict[str, Any]) -> None:
    book = read_book(content, SCHEMA)
    problems = check(book, SCHEMA, WORDS)
    decided = {slow(content, case) for case in ALL_CASES}
    numbers = {*range(len(book.rules) + 1)}
    assert {problem.number for problem in problems} == numbers - decided
    for problem in problems:
        rule = (
            [*content["rules"], {"when": {}}][problem.number - 1]
            if problem.number
            else {"when": {}, "outcome": book.otherwise}
        )
        own = [case for case in ALL_CASES if slow({"rules": [rule]}, case)]
        assert (problem.code == "impossible") == (not own)
        by = {"rules": [content["rules"][number - 1] for number in problem.by]}
        assert all(slow(by, case) for case in own)
        outcomes = {book.outcome_of(number) for number in problem.by}
        if problem.code == "repeats":
            assert outcomes == {book.outcome_of(problem.number)}
        elif problem.code == "contradicted":
            assert outcomes != {book.outcome_of(problem.number)}


def test_a_rule_behind_another_is_named_with_it() -> None:
    content = {
        "rules": [
            {"when": {"total": {"over": 3}}, "outcome": "wait"},
            {"when": {"total": {"over": 4}}, "outcome": "stop"},
            {"when": {"part": {"over": 3}, "shop": {"is": ["a"]}}, "outcome": "wait"},
            {"when": {"part": {"over": 2}, "total": {"up_to": 2}}, "outcome": "wait"},
        ],
        "otherwise": "go",
    }
    assert check(read_book(content, SCHEMA), SCHEMA, WORDS) == [
        Problem(2, "contradicted", (1,)),
        # The total is never less than the part.
        Problem(3, "repeats", (1,)),
        Problem(4, "impossible"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "shape"),
        ({"rules": {}}, "shape"),
        ({"rules": [], "otherwise": "fly"}, "outcome"),
        ({"rules": [{"when": {}, "outcome": "go"}] * 41, "otherwise": "go"}, "many"),
        ({"rules": [{"when": {}, "outcome": "fly"}], "otherwise": "go"}, "outcome"),
        ({"rules": [7], "otherwise": "go"}, "shape"),
        *(
            ({"rules": [{"when": when, "outcome": "go"}], "otherwise": "go"}, code)
            for when, code in (
                ({"moon": {"over": 1}}, "fact"),
                ({"part": {"over": 6}}, "range"),
                ({"part": {"over": -2}}, "range"),
                ({"part": {"over": True}}, "shape"),
                ({"part": {"over": "1"}}, "shape"),
                ({"part": {}}, "empty"),
                ({"part": {"over": 3, "up_to": 3}}, "backwards"),
                ({"hour": {"from": 3}}, "shape"),
                ({"hour": {"from": 3, "until": 3}}, "empty"),
                ({"shop": {"is": []}}, "empty"),
                ({"shop": {"is": [1]}}, "shape"),
                ({"shop": "a"}, "shape"),
            )
        ),
    ],
)
def test_what_is_no_book_is_refused(content: Any, code: str) -> None:
    with pytest.raises(BadBook) as refused:
        read_book(content, SCHEMA)
    assert refused.value.code == code


def test_a_large_book_is_checked_quickly() -> None:
    rules = [
        {
            "when": {
                "total": {"over": number % 5},
                "hour": {"from": number % 6, "until": (number + 2) % 6},
                "shop": {"is": ["abc"[number % 3]]},
            },
            "outcome": "wait",
        }
        for number in range(40)
    ]
    book = read_book({"rules": rules, "otherwise": "go"}, SCHEMA)
    assert check(book, SCHEMA, WORDS)
