"""Health for machines, jobs and the audit trail for people."""

from apps.operations.views.health import healthz, metrics, readyz
from apps.operations.views.office import audit_list, job_list

__all__ = ["audit_list", "healthz", "job_list", "metrics", "readyz"]
