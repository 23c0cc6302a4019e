"""What the simulated platforms remember: merchants, orders, refunds, notices, faults and the clock.

Amounts are integer fen, times aware UTC on the simulated clock (``apps.simulator.clock``).
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q


class Platform(models.TextChoices):
    """The platforms that the simulator plays."""

    WECHATPAY = "wechatpay", "WeChat Pay"
    ALIPAY = "alipay", "Alipay"
    UNIONPAY = "unionpay", "UnionPay QuickPass"
    SHOUQIANBA = "shouqianba", "Shouqianba"


class Product(models.TextChoices):
    """By which of a platform's products an order was created."""

    JSAPI = "jsapi", "JSAPI"
    NATIVE = "native", "Native"
    H5 = "h5", "H5"
    WAP = "wap", "wap.pay"
    PAGE = "page", "page.pay"
    PRECREATE = "precreate", "precreate"
    CREATE = "create", "create"
    BARCODE = "barcode", "barcode"
    #: UnionPay: 01/07 申码, 01/01 WAP. Shouqianba: C扫B precreate, WAP2 gateway.
    QR = "qr", "QR"
    FRONT = "front", "front"
    WAP2 = "wap2", "WAP2"


class OrderState(models.TextChoices):
    """WAITING moves to PAID or CLOSED, once. A refund does not move it: see ``Order.refunded_fen``."""

    WAITING = "WAITING"
    PAID = "PAID"
    CLOSED = "CLOSED"


class RefundState(models.TextChoices):
    """PROCESSING moves to SUCCESS, CLOSED or ABNORMAL; ABNORMAL may still become SUCCESS."""

    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    CLOSED = "CLOSED"
    ABNORMAL = "ABNORMAL"


class NoticeKind(models.TextChoices):
    """What a notice tells. Each platform decides which of them it sends."""

    PAID = "PAID"
    CLOSED = "CLOSED"
    REFUNDED = "REFUNDED"


class NoticeState(models.TextChoices):
    """PENDING has a ``next_at``; the others are final."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"
    DROPPED = "DROPPED"


class Merchant(models.Model):
    """A merchant as a platform knows it, with what its console would show.

    ``config`` (all strings but the rate): ``rate_ppm`` (fee in parts per million).
    WeChat Pay: ``app_secret, serial_no, private_key, merchant_public_key, api_v3_key, public_key_id,
    public_key, platform_private_key, key_mode`` ("public_key" or "certificate"), ``platform_serial_no,
    platform_certificate``. Alipay: ``private_key, app_public_key, alipay_public_key,
    platform_private_key``; in certificate mode ``app_certificate, alipay_certificate, alipay_root_certificate`` in place
    of ``alipay_public_key``. Shouqianba: ``vendor_sn, vendor_key, public_key, platform_private_key,
    store_id, store_no``. All keys are PEM.
    """

    platform = models.CharField(max_length=16, choices=Platform.choices)
    #: mchid (WeChat Pay, 10 digits) or pid (Alipay, 2088 and 12 digits).
    merchant_no = models.CharField(max_length=32)
    app_id = models.CharField(max_length=32, db_index=True)
    name = models.CharField(max_length=128)
    config = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["platform", "merchant_no"], name="sim_merchant_no"),
        ]

    def __str__(self) -> str:
        return f"{self.platform} {self.merchant_no} {self.name}"

    @property
    def rate_ppm(self) -> int:
        """The fee rate in parts per million; 6000 is 0.6 %."""
        return int(self.config.get("rate_ppm", 6000))


class Order(models.Model):
    """One order, and the payment of it: a platform lets an order be paid once."""

    platform = models.CharField(max_length=16, choices=Platform.choices)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="orders")
    out_trade_no = models.CharField(max_length=64)
    #: The platform's number (WeChat Pay transaction_id, Alipay trade_no); shown only once there is a trade.
    trade_no = models.CharField(max_length=64, unique=True)
    product = models.CharField(max_length=16, choices=Product.choices)
    amount_fen = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    #: description (WeChat Pay) or subject (Alipay).
    description = models.CharField(max_length=256, blank=True, default="")
    #: attach (WeChat Pay) or passback_params (Alipay).
    attach = models.CharField(max_length=1024, blank=True, default="")
    notify_url = models.CharField(max_length=512, blank=True, default="")
    return_url = models.CharField(max_length=512, blank=True, default="")
    state = models.CharField(
        max_length=8, choices=OrderState.choices, default=OrderState.WAITING, db_index=True
    )
    #: prepay_id, code_url, h5_url or qr_code; what the wallet pays by. None where there is none.
    code_content = models.CharField(max_length=512, unique=True, null=True, default=None)  # noqa: DJ001
    code_expires_at = models.DateTimeField(null=True, default=None)
    #: False while Alipay's precreate has not been scanned: no trade exists yet.
    trade_exists = models.BooleanField(default=True)
    #: openid (WeChat Pay) or buyer id (Alipay). JSAPI orders know it before payment.
    payer_id = models.CharField(max_length=64, blank=True, default="")
    #: The wallet that pays or paid an aggregator's order: a platform's value, else "".
    wallet = models.CharField(max_length=16, blank=True, default="")
    #: Masked account of the payer, as the platform shows it.
    payer_login = models.CharField(max_length=64, blank=True, default="")
    fee_fen = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    #: When an unpaid order closes by itself.
    expires_at = models.DateTimeField(db_index=True)
    paid_at = models.DateTimeField(null=True, default=None)
    closed_at = models.DateTimeField(null=True, default=None)
    #: The parameters as sent, to compare when the same number is posted again.
    request = models.JSONField(default=dict)
    #: Room for what one platform alone remembers.
    extra = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["platform", "merchant", "out_trade_no"], name="sim_order_out_trade_no"
            ),
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="sim_order_amount"),
        ]
        indexes = [models.Index(fields=["merchant", "paid_at"], name="sim_order_paid")]

    def __str__(self) -> str:
        return f"{self.platform} {self.out_trade_no} {self.state}"

    @property
    def charging(self) -> str:
        """The wallet's platform that takes the money: for an aggregator's order the one behind it."""
        return self.wallet or self.platform

    @property
    def refunded_fen(self) -> int:
        """What is refunded or on its way back; refunds that were closed do not count."""
        return sum(
            refund.amount_fen for refund in self.refunds.all() if refund.state != RefundState.CLOSED
        )

    @property
    def refundable_fen(self) -> int:
        """What may still be refunded; 0 if not paid."""
        return self.amount_fen - self.refunded_fen if self.state == OrderState.PAID else 0


class Refund(models.Model):
    """One refund of a paid order, by the merchant's own number."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refunds")
    #: Copied from the order, to hold the number unique for each merchant.
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="refunds")
    #: out_refund_no (WeChat Pay) or out_request_no (Alipay).
    out_refund_no = models.CharField(max_length=64)
    refund_no = models.CharField(max_length=64, unique=True)
    amount_fen = models.BigIntegerField()
    #: The returned share of the fee, positive.
    fee_fen = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=256, blank=True, default="")
    state = models.CharField(
        max_length=12, choices=RefundState.choices, default=RefundState.PROCESSING, db_index=True
    )
    notify_url = models.CharField(max_length=512, blank=True, default="")
    #: Acceptance; decides the bill's day.
    created_at = models.DateTimeField()
    #: When it will finish; None for never.
    finish_at = models.DateTimeField(null=True, default=None, db_index=True)
    #: What it will become at ``finish_at``.
    outcome = models.CharField(
        max_length=12, choices=RefundState.choices, default=RefundState.SUCCESS
    )
    finished_at = models.DateTimeField(null=True, default=None)
    request = models.JSONField(default=dict)

    class Meta:
        constraints = [
            # Alipay's number is unique within a trade, WeChat Pay's within a merchant;
            # the wider rule is checked by books.create_refund.
            models.UniqueConstraint(fields=["order", "out_refund_no"], name="sim_refund_no"),
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="sim_refund_amount"),
        ]
        indexes = [
            models.Index(fields=["merchant", "out_refund_no"], name="sim_refund_out_no"),
            models.Index(fields=["merchant", "created_at"], name="sim_refund_created"),
        ]

    def __str__(self) -> str:
        return f"{self.out_refund_no} {self.state}"


class Notice(models.Model):
    """One notification to the merchant's server, with all attempts to deliver it."""

    platform = models.CharField(max_length=16, choices=Platform.choices)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="notices")
    refund = models.ForeignKey(
        Refund, on_delete=models.CASCADE, related_name="notices", null=True, default=None
    )
    kind = models.CharField(max_length=12, choices=NoticeKind.choices)
    url = models.CharField(max_length=512)
    #: The platform's id of it (EV-… or notify_id), the same for all attempts.
    notice_no = models.CharField(max_length=64, unique=True)
    #: When the event happened; goes into the payload.
    event_at = models.DateTimeField()
    state = models.CharField(
        max_length=12, choices=NoticeState.choices, default=NoticeState.PENDING
    )
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField(null=True, default=None)
    last_status = models.IntegerField(null=True, default=None)
    last_body = models.TextField(blank=True, default="")
    #: One object an attempt: {"at", "status", "body", "accepted", "note"}.
    history = models.JSONField(default=list)
    #: Signed with a key that is not the platform's: the fault ``notify_forged``.
    forged = models.BooleanField(default=False)
    #: Waits for a later notice of the same order: the fault ``notify_out_of_order``.
    held = models.BooleanField(default=False)
    #: A snapshot of what the platform will say, taken when the event happened.
    payload = models.JSONField(default=dict)
    #: Sent one time only, whatever the answer: what a forger sends.
    once = models.BooleanField(default=False)
    #: The last attempt as it went out, to be replayed byte for byte.
    sent_headers = models.JSONField(default=dict)
    sent_body = models.BinaryField(default=b"")

    class Meta:
        indexes = [models.Index(fields=["state", "next_at"], name="sim_notice_due")]

    def __str__(self) -> str:
        return f"{self.kind} {self.notice_no} {self.state}"


class Fault(models.Model):
    """A fault in force: ``key`` is one of ``faults.KEYS``."""

    key = models.CharField(max_length=32)
    #: Empty for all platforms.
    platform = models.CharField(max_length=16, blank=True, default="")
    value = models.JSONField(default=dict)
    #: Uses left; None for ever.
    remaining = models.IntegerField(null=True, default=None)

    def __str__(self) -> str:
        return f"{self.key} {self.platform or '*'} {self.remaining}"


class ClockState(models.Model):
    """The simulated clock: ``sim = anchor_sim + (real - anchor_real) * factor``. One row, id 1."""

    anchor_real = models.DateTimeField()
    anchor_sim = models.DateTimeField()
    factor = models.FloatField(default=1.0)

    def __str__(self) -> str:
        return f"{self.anchor_sim} x{self.factor}"

    def at(self, real: datetime) -> datetime:
        """The simulated instant that belongs to a real one."""
        return self.anchor_sim + (real - self.anchor_real) * self.factor


class OAuthCode(models.Model):
    """A single-use code handed to the browser, to be exchanged for the payer's id."""

    platform = models.CharField(max_length=16, choices=Platform.choices)
    app_id = models.CharField(max_length=32)
    code = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=32)
    payer_id = models.CharField(max_length=64)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, default=None)

    def __str__(self) -> str:
        return f"{self.platform} {self.app_id} {self.code[:6]}…"


class BillFile(models.Model):
    """A bill made on request and kept until its download address expires."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="bills")
    token = models.CharField(max_length=64, unique=True)
    filename = models.CharField(max_length=128)
    content = models.BinaryField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.filename


class PayCode(models.Model):
    """The code on a payer's own phone (付款码): good for one payment and a short time.

    ``behaviour``: "pays" at once; "password", the payer confirms in the wallet first (or never); "poor", refused for want of
    money. ``confirmed_order`` is the order whose password was typed.
    """

    wallet = models.CharField(max_length=16, choices=Platform.choices)
    digits = models.CharField(max_length=24, unique=True)
    payer_key = models.CharField(max_length=32)
    behaviour = models.CharField(max_length=12, default="pays")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, default=None)
    order = models.ForeignKey(
        Order, on_delete=models.SET_NULL, related_name="pay_codes", null=True, default=None
    )

    def __str__(self) -> str:
        return f"{self.wallet} {self.digits[:4]}…"


class Terminal(models.Model):
    """A terminal of a Shouqianba merchant. ``previous_key`` still checks in until a call with the current one arrives."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="terminals")
    device_id = models.CharField(max_length=128)
    terminal_sn = models.CharField(max_length=32, unique=True)
    current_key = models.CharField(max_length=64)
    previous_key = models.CharField(max_length=64, blank=True, default="")
    name = models.CharField(max_length=128, blank=True, default="")
    activated_at = models.DateTimeField()
    checked_in_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "device_id"], name="sim_terminal_device"),
        ]

    def __str__(self) -> str:
        return self.terminal_sn


class ActivationCode(models.Model):
    """A code that turns a device into a terminal of a Shouqianba merchant; limited in time and uses."""

    merchant = models.ForeignKey(
        Merchant, on_delete=models.CASCADE, related_name="activation_codes"
    )
    code = models.CharField(max_length=32, unique=True)
    uses_left = models.IntegerField(default=1)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.code
