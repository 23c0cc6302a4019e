"""House rules that no linter knows."""

from __future__ import annotations

import re
from pathlib import Path

from apps.core.tasks import registered_tasks

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("apps", "merchant_portal")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
    and "tests" not in path.parts
    and "simulator" not in path.parts
]


def grep(pattern: str, paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


def test_there_is_no_drawer_for_everything() -> None:
    assert [path for path in SOURCES if path.stem in {"utils", "helpers", "misc", "common"}] == []


def test_no_signals() -> None:
    assert grep(r"django\.(db\.models|core|dispatch)\.?signals|@receiver", SOURCES) == []


def test_only_the_wall_sets_the_merchant_of_a_session() -> None:
    hits = grep(r"app\.merchant_id|set_config\((?!'synchronous_commit')", SOURCES)
    assert {hit.partition(":")[0] for hit in hits} == {
        "apps/core/tenancy.py",
        "apps/core/walls.py",
        # Cleans a connection before somebody else gets it.
        "apps/core/postgres/engine/base.py",
    }


def test_services_leave_by_the_outbox() -> None:
    assert grep(r"\.(delay|apply_async)\(", SOURCES) == []


def test_no_floats_near_money() -> None:
    drawn = {"artwork", "proof"}
    rooms = [path for path in SOURCES if "apps" in path.parts and not drawn & set(path.parts)]
    # Millimetres and seconds may be floats; the one time-out of the HTTP wrapper is named here.
    assert [hit for hit in grep(r"\bfloat\(", rooms) if "PLATFORM_HTTP_TIMEOUT" not in hit] == []


def test_every_task_that_is_enqueued_has_a_handler() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    asked = set(re.findall(r"task=\"([a-z_]+\.[a-z_]+)\"", text))
    assert asked - registered_tasks() == set()


def test_templates_have_no_inline_script_or_style() -> None:
    # Mail programs load no style sheets, and no policy of ours holds there.
    templates = [page for page in (ROOT / "templates").rglob("*.html") if "mail" not in page.parts]
    assert len(templates) > 50
    bad = grep(
        r"<style|\sstyle=|\son(click|load|change|submit|input)=|javascript:|hx-on", templates
    )
    scripts = grep(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>", templates)
    assert bad + scripts == []


def test_text_from_outside_is_never_marked_safe_in_templates() -> None:
    assert grep(r"\|\s*safe\b|autoescape off", list((ROOT / "templates").rglob("*.html"))) == []
