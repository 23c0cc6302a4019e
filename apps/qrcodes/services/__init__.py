"""Writes of this room: codes and their versions, many at once, prints, scans."""

from apps.qrcodes.services.acts import (
    FINAL,
    CannotUndo,
    Wish,
    act_on_codes,
    undo_act,
)
from apps.qrcodes.services.alerts import AlreadyLooked, look_at_alert, raise_alerts
from apps.qrcodes.services.batches import (
    BatchRefused,
    copy_codes,
    flaws_of,
    make_batch,
)
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
from apps.qrcodes.services.folders import (
    NameTaken,
    delete_folder,
    file_code,
    folder_named,
    rename_folder,
)
from apps.qrcodes.services.prints import (
    DRAW,
    FORGET,
    PrintWish,
    cancel_print,
    draw_prints,
    files_of,
    forget_print,
    start_print,
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
    "DRAW",
    "FINAL",
    "FORGET",
    "Account",
    "AlreadyLooked",
    "BatchRefused",
    "CannotUndo",
    "CodeChanged",
    "CodeRefused",
    "CodeRetired",
    "NameTaken",
    "NothingChanged",
    "Opened",
    "PrintWish",
    "TemplateRefused",
    "Wish",
    "act_on_codes",
    "apply_version",
    "assign_terminal",
    "cancel_print",
    "change_design",
    "check_terms",
    "copy_codes",
    "create_code",
    "create_design",
    "defaults_of",
    "delete_design",
    "delete_folder",
    "draw_prints",
    "file_code",
    "files_of",
    "flaws_of",
    "folder_named",
    "forget_print",
    "look_at_alert",
    "make_batch",
    "make_code",
    "make_default",
    "open_code",
    "pause_code",
    "raise_alerts",
    "rename_folder",
    "resume_code",
    "retire_code",
    "revise_code",
    "save_template",
    "start_print",
    "switch_template",
    "undo_act",
    "withdraw_version",
]
