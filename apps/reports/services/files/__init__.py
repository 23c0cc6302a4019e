"""Files that accountants take home: one list of kinds for pages, jobs, schedules, packs and the command."""

from apps.reports.services.files.kinds import (
    KINDS,
    CannotMake,
    FileKind,
    OpenFile,
    Wanted,
    kind_of,
    register,
)

__all__ = ["KINDS", "CannotMake", "FileKind", "OpenFile", "Wanted", "kind_of", "register"]
