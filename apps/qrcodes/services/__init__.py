"""Writes of this room: codes and their versions, scans."""

from apps.qrcodes.services.codes import (
    CodeRefused,
    CodeRetired,
    check_terms,
    create_code,
    make_code,
    pause_code,
    resume_code,
    retire_code,
)
from apps.qrcodes.services.designs import (
    change_design,
    create_design,
    delete_design,
    make_default,
)
from apps.qrcodes.services.scanning import Account, Opened, open_code
from apps.qrcodes.services.templates import (
    TemplateRefused,
    defaults_of,
    save_template,
    switch_template,
)
from apps.qrcodes.services.versions import (
    APPLY,
    CodeChanged,
    NothingChanged,
    apply_version,
    assign_terminal,
    revise_code,
    withdraw_version,
)

__all__ = [
    "APPLY",
    "Account",
    "CodeChanged",
    "CodeRefused",
    "CodeRetired",
    "NothingChanged",
    "Opened",
    "TemplateRefused",
    "apply_version",
    "assign_terminal",
    "change_design",
    "check_terms",
    "create_code",
    "create_design",
    "defaults_of",
    "delete_design",
    "make_code",
    "make_default",
    "open_code",
    "pause_code",
    "resume_code",
    "retire_code",
    "revise_code",
    "save_template",
    "switch_template",
    "withdraw_version",
]
