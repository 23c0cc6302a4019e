"""Whatever is written into the audit trail, and whatever waits, has words of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from apps.core import tasks
from apps.core.models import AuditEvent
from apps.merchants.tests.factories import NOW
from apps.operations.wording import ACTIONS, JOBS
from apps.platforms.wording import event_entry
from apps.reports.timeline import entry_of

APPS = Path(settings.BASE_DIR) / "apps"


def recorded() -> Iterator[str]:
    """The names of actions in the services: ``order.opened`` and the like. Those put together from a state are not seen."""
    trees = [ast.parse(path.read_text()) for path in APPS.rglob("services*/**/*.py")]
    subjects = {action.partition(".")[0] for action in ACTIONS} | {"order", "payment", "refund"}
    # What nobody has given words yet is known by how it is recorded.
    subjects |= {
        node.value.value.partition(".")[0]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "action"
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                for part in (
                    (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
                ):
                    if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
                        continue
                    subject, dot, what = part.value.partition(".")
                    if dot and subject in subjects and what.replace("_", "").isalpha():
                        yield part.value


RECORDED = sorted({*recorded()} - tasks.registered_tasks())


def event(action: str) -> AuditEvent:
    return AuditEvent(merchant_id=1, action=action, at=NOW, actor="system", data={})


def test_the_actions_are_found() -> None:
    assert len(RECORDED) > 40
    assert {"account.moved", "account.terminal_lost", "payment.doubted"} <= {*RECORDED}


@pytest.mark.parametrize("action", RECORDED)
def test_each_action_has_words_in_the_audit_trail(action: str) -> None:
    assert action in ACTIONS or entry_of(event(action)).title != action


@pytest.mark.parametrize("action", [one for one in RECORDED if one.startswith("account.")])
def test_each_action_on_an_account_has_words_on_its_page(action: str) -> None:
    assert event_entry(event(action))["title"] != action


def test_each_task_has_a_name() -> None:
    assert tasks.registered_tasks() - JOBS.keys() == set()
