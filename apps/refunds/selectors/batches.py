"""Batches of refunds: the list, how far one is, its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, QuerySet, Sum

from apps.core import sql
from apps.core.names import named
from apps.core.tenancy import ScopedQuerySet
from apps.merchants.models import Store
from apps.qrcodes.models import QRCode
from apps.refunds.models import BatchState, RefundBatch, RefundBatchRow
from apps.refunds.selectors.choosing import BatchWish, wish_of

#: Rows of a batch on one page, and batches in the list.
ROWS: Final = 50
LIST: Final = 50

#: What the rows' filter offers: the states of rows and of their refunds behind each word.
ROW_GROUPS: Final = ("planned", "under_way", "attention", "done", "failed", "stopped")
_GROUP: Final = """
CASE WHEN b.state = 'planned' THEN 'planned' WHEN b.state = 'cancelled' OR r.state = 'cancelled' THEN 'stopped'
    WHEN b.state = 'refused' OR r.state IN ('failed', 'rejected') THEN 'failed' WHEN r.state = 'succeeded' THEN 'done'
    WHEN r.state IN ('abnormal', 'queued') THEN 'attention' ELSE 'under_way' END
"""
_COUNT: Final = f"""
SELECT {_GROUP} AS what, count(*), sum(b.amount_minor)::bigint
FROM refunds_refundbatchrow b
LEFT JOIN refunds_refund r ON r.merchant_id = b.merchant_id AND r.id = b.refund_id
WHERE b.merchant_id = %s AND b.batch_id = %s GROUP BY what
"""  # noqa: S608  # our own text
_ROWS: Final = f"""
SELECT b.id FROM refunds_refundbatchrow b
LEFT JOIN refunds_refund r ON r.merchant_id = b.merchant_id AND r.id = b.refund_id
WHERE b.merchant_id = %(merchant)s AND b.batch_id = %(batch)s AND b.id > %(after)s
  AND (%(what)s = '' OR {_GROUP} = %(what)s)
ORDER BY b.id LIMIT %(size)s
"""  # noqa: S608  # our own text


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows of a batch, and of how much in fen."""

    count: int = 0
    minor: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is, by the words of ``ROW_GROUPS``."""

    by: dict[str, Tally]

    def of(self, *groups: str) -> Tally:
        """Of these together."""
        found = [self.by.get(group, Tally()) for group in groups]
        return Tally(sum(one.count for one in found), sum(one.minor for one in found))

    @property
    def ended(self) -> int:
        """How many rows nothing more happens to by itself."""
        return self.of("done", "failed", "stopped").count

    @property
    def moves(self) -> bool:
        """Whether any row may still change by itself."""
        return self.of("planned", "under_way", "attention").count > 0


def visible_batches() -> ScopedQuerySet[RefundBatch]:
    """The batches all of whose payments are of the stores in scope."""
    return RefundBatch.seen().select_related("requested_by", "approval")


def list_batches() -> list[RefundBatch]:
    """The latest batches."""
    return list(visible_batches().order_by("-pk")[:LIST])


def get_batch(batch_id: int) -> RefundBatch | None:
    """One batch of the stores in scope, or None."""
    return visible_batches().filter(pk=batch_id).first()


def progress_of(batch: RefundBatch) -> Progress:
    """How far it is; one query."""
    rows = sql.every(_COUNT, [batch.merchant_id, batch.pk])
    return Progress({what: Tally(count, int(minor)) for what, count, minor in rows})


def is_moving(batch: RefundBatch, progress: Progress) -> bool:
    """Whether a page about it is to be looked at again."""
    if batch.state in {BatchState.WAITING, BatchState.RUNNING}:
        return True
    return progress.of("under_way", "attention").count > 0


def page_rows(
    batch: RefundBatch, *, what: str = "", after: int = 0, size: int = ROWS
) -> tuple[list[RefundBatchRow], int | None]:
    """Some rows in their order, and the id after which the next begin. Two queries."""
    values = {
        "merchant": batch.merchant_id,
        "batch": batch.pk,
        "after": after,
        "what": what,
        "size": size + 1,
    }
    ids = [pk for (pk,) in sql.every(_ROWS, values)]
    rows = list(_with_all(RefundBatchRow.objects.filter(pk__in=ids[:size])).order_by("pk"))
    return rows, ids[size - 1] if len(ids) > size else None


def all_rows(batch: RefundBatch) -> Iterator[RefundBatchRow]:
    """Every row in its order, for a file; read in portions."""
    yield from _with_all(RefundBatchRow.objects.filter(batch=batch)).order_by("pk").iterator(2000)


def _with_all(rows: QuerySet[RefundBatchRow]) -> QuerySet[RefundBatchRow]:
    return rows.select_related("payment__order", "payment__store", "refund__payment").defer(
        "payment__handover", "refund__payment__handover"
    )


def batch_of(refund_id: int) -> RefundBatch | None:
    """The batch that a refund is of, where the scope reaches all of it; else None. One query."""
    rows = RefundBatchRow.objects.filter(refund_id=refund_id).values("batch")
    return visible_batches().filter(pk__in=rows).first()


def may_try_again(batch: RefundBatch, progress: Progress) -> bool:
    """Whether what failed of a finished batch may be tried again."""
    return batch.state == BatchState.DONE and progress.of("failed").count > 0


def outcomes_of(batch: RefundBatch) -> dict[str, tuple[int, int]]:
    """What the rules said of its rows when they were chosen: how many and how much in fen, by outcome. One query."""
    rows = RefundBatchRow.objects.filter(batch=batch).values_list("outcome")
    found = rows.annotate(count=Count("pk"), minor=Sum("amount_minor")).order_by("outcome")
    return {code: (count, int(minor)) for code, count, minor in found}


def names_of_wish(wish: BatchWish) -> dict[str, str]:
    """The names of the code and the store that a wish is narrowed to. Two queries at most."""
    found: dict[str, str] = {}
    if wish.code_id is not None:
        code = QRCode.objects.select_related("scenario").filter(pk=wish.code_id).first()
        found["code"] = named(code.scenario) if code is not None else ""
    if wish.store_id is not None:
        store = Store.objects.filter(pk=wish.store_id).first()
        found["store"] = named(store) if store is not None else ""
    return found


def batch_names(batch: RefundBatch) -> dict[str, str]:
    """``names_of_wish`` of a batch."""
    return names_of_wish(wish_of(batch.wish))
