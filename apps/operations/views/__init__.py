"""Health for machines; jobs, what is waiting, the audit trail and the doctor for people."""

from apps.operations.views.doctor import (
    doctor_account,
    doctor_house,
    doctor_page,
    doctor_rehearse,
    doctor_run,
)
from apps.operations.views.health import healthz, metrics, readyz
from apps.operations.views.office import audit_list, job_list
from apps.operations.views.waiting import waiting_ask, waiting_list, waiting_try

__all__ = [
    "audit_list",
    "doctor_account",
    "doctor_house",
    "doctor_page",
    "doctor_rehearse",
    "doctor_run",
    "healthz",
    "job_list",
    "metrics",
    "readyz",
    "waiting_ask",
    "waiting_list",
    "waiting_try",
]
