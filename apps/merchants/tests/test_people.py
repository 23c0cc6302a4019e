"""A person's name, and the mailbox of a development machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection
from django.test import Client
from pytest_django import Settings as SettingsWrapper

from apps.merchants.mailbox import latest_mails
from apps.merchants.tests.teams import make_user

pytestmark = pytest.mark.django_db


def test_profile_changes_the_name(client: Client) -> None:
    user = make_user()
    assert client.get("/accounts/profile/").status_code == 302
    client.force_login(user)
    assert client.get("/accounts/profile/").status_code == 200
    assert client.post("/accounts/profile/", {"name": " 王 \n 芳 "}).status_code == 302
    user.refresh_from_db()
    assert user.display_name == "王 芳"
    assert client.post("/accounts/profile/", {"name": "x" * 61}).status_code == 422


def _send(folder: Path, *subjects: str) -> None:
    connection = get_connection(
        "django.core.mail.backends.filebased.EmailBackend", file_path=str(folder)
    )
    connection.open()
    for subject in subjects:
        EmailMessage(
            subject,
            f"看 http://localhost/x/?a=1&b=2 <b>{subject}</b>",
            to=["a@example.com"],
            connection=connection,
        ).send()
    connection.close()


def test_mailbox_lists_the_newest_first(tmp_path: Path) -> None:
    _send(tmp_path, "一", "二")
    mails = latest_mails(tmp_path)
    assert [message.subject for message in mails] == ["二", "一"]
    assert mails[0].to == "a@example.com"
    assert mails[0].at is not None
    assert mails[0].at.tzinfo is not None
    assert mails[0].text == "看 http://localhost/x/?a=1&b=2 <b>二</b>"
    assert latest_mails(tmp_path / "absent") == []


def test_mailbox_page_exists_in_development_only(
    client: Client, settings: SettingsWrapper, tmp_path: Path
) -> None:
    settings.EMAIL_FILE_PATH = str(tmp_path)
    settings.DEV_MAILBOX = False
    assert client.get("/dev/mailbox/").status_code == 404
    settings.DEV_MAILBOX = True
    assert client.get("/dev/mailbox/").status_code == 200
    _send(tmp_path, "你好")
    page = client.get("/dev/mailbox/").content.decode()
    assert 'href="http://localhost/x/?a=1&amp;b=2"' in page
    assert "<b>你好" not in page
