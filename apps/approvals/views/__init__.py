"""The pages of confirmations."""

from apps.approvals.views.deciding import approval_detail, approval_list
from apps.approvals.views.settings import delegation_end, delegation_list, terms

__all__ = ["approval_detail", "approval_list", "delegation_end", "delegation_list", "terms"]
