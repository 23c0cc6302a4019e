"""Files as received, sealed in pieces."""

from __future__ import annotations

from django.db import models

from apps.core.tenancy import MerchantScoped, ScopedForeignKey


class BillFile(MerchantScoped):
    """A file as received, byte for byte, sealed in pieces, so that nobody needs all of it in memory."""

    filename = models.CharField(max_length=160)
    sha256 = models.CharField(max_length=64)
    byte_count = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="statements_file_wall"),
        ]


class FilePiece(MerchantScoped):
    """The next bytes of a file, encrypted."""

    file = ScopedForeignKey(BillFile, on_delete=models.CASCADE, related_name="pieces")
    number = models.IntegerField()
    sealed = models.BinaryField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["file", "number"], name="statements_piece_once"),
        ]
