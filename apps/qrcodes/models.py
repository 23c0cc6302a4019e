"""Scenarios, the codes that hang in them, and every opening of one."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store, Terminal


class ScenarioKind(models.TextChoices):
    """Where a code hangs."""

    COUNTER = "counter", _("Store counter")
    TABLE = "table", _("Table")
    EVENT = "event", _("Event stall")
    CASHIER = "cashier", _("Cashier")
    PRODUCT = "product", _("Product or fixed price")
    DONATION = "donation", _("Donation or tip")
    RIDER = "rider", _("Delivery rider")
    CUSTOM = "custom", _("Own scenario")


class Pricing(models.TextChoices):
    """Who says what is paid."""

    OPEN = "open", _("The customer types the amount")
    FIXED = "fixed", _("Always the same amount")
    LIST = "list", _("The customer chooses from a list")


class NoteMode(models.TextChoices):
    """Whether the payer writes something to the shop."""

    NONE = "none", _("No note")
    OPTIONAL = "optional", _("The customer may write a note")
    REQUIRED = "required", _("The customer must write a note")


class CodeState(models.TextChoices):
    """Whether a code takes payments. Retired is final; the printed code itself never changes."""

    ACTIVE = "active", _("Active")
    PAUSED = "paused", _("Paused")
    RETIRED = "retired", _("Retired")


class ScenarioTemplate(MerchantScoped):
    """A merchant's own kind of scenario: its name and what a new code of it begins with.

    ``defaults`` holds columns of ``CodeVersion`` by name; ``fields`` the own questions, each ``{"key", "label", "label_en"}``,
    answered in a version's ``details``. What the house offers itself stands in code.
    """

    kind = models.CharField(max_length=12, choices=ScenarioKind, default=ScenarioKind.CUSTOM)
    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True, default="")
    defaults = models.JSONField(default=dict)
    fields = models.JSONField(default=list)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_template_wall"),
            models.UniqueConstraint(fields=["merchant_id", "name"], name="qrcodes_template_name"),
        ]


class Scenario(MerchantScoped):
    """A place or occasion to pay: its store, its kind, its name as printed. Follows its code's version in force."""

    store = ScopedForeignKey(Store)
    kind = models.CharField(max_length=12, choices=ScenarioKind)
    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True, default="")
    #: The merchant's own template that it was made by, if any.
    template = ScopedForeignKey(ScenarioTemplate, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_scenario_wall"),
        ]


class CodeFolder(MerchantScoped):
    """Where codes are kept together, such as "Terrace"."""

    name = models.CharField(max_length=60)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_folder_wall"),
            models.UniqueConstraint(fields=["merchant_id", "name"], name="qrcodes_folder_name"),
        ]


class CodeBatch(MerchantScoped):
    """Codes that were made together. ``nonce`` is the form's: sent twice, it makes them once."""

    nonce = models.CharField(max_length=40)
    count = models.PositiveIntegerField()
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_batch_wall"),
            models.UniqueConstraint(fields=["merchant_id", "nonce"], name="qrcodes_batch_nonce"),
        ]


class QRCode(MerchantScoped):
    """A printed code. ``token`` is in its link and never changes; its ``Door`` is of kind ``qrcode``.

    What it does stands in its ``CodeVersion``s. Store, terminal, amount and period here are those of the version in force,
    for lists. ``amount_minor`` None: the payer types or chooses the amount. The period is half-open, ends may be open.
    """

    scenario = ScopedForeignKey(Scenario, related_name="codes")
    store = ScopedForeignKey(Store)
    #: The device that this code belongs to, if any: its payments carry it.
    terminal = ScopedForeignKey(Terminal, null=True, related_name="codes")
    token = models.CharField(max_length=24)
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, default="CNY")
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=CodeState, default=CodeState.ACTIVE)
    created_at = models.DateTimeField(db_default=Now())
    state_changed_at = models.DateTimeField(null=True)
    #: Why it is paused or retired, in a member's words, for members only.
    state_reason = models.CharField(max_length=200, blank=True, default="")
    folder = ScopedForeignKey(CodeFolder, null=True, related_name="codes")
    labels = ArrayField(models.CharField(max_length=30), default=list)
    batch = ScopedForeignKey(CodeBatch, null=True, related_name="codes")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_code_wall"),
            models.UniqueConstraint(fields=["merchant_id", "token"], name="qrcodes_code_token"),
            models.CheckConstraint(
                condition=models.Q(amount_minor__isnull=True) | models.Q(amount_minor__gt=0),
                name="qrcodes_code_amount",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_from__isnull=True)
                | models.Q(valid_until__isnull=True)
                | models.Q(valid_until__gt=models.F("valid_from")),
                name="qrcodes_code_period",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "store", "-id"], name="qrcodes_code_store"),
            models.Index(fields=["merchant_id", "folder", "-id"], name="qrcodes_code_folder"),
            models.Index(fields=["merchant_id", "batch"], name="qrcodes_code_batch"),
            GinIndex(fields=["labels"], name="qrcodes_code_labels"),
        ]


class CodeVersion(MerchantScoped):
    """What a code does from ``starts_at`` on. In force is the last to start, by start and then by number, that is not withdrawn.

    Rows stay as they were made; only ``withdrawn_at`` is set, once, on a version that has not started. Limits are None
    where there is none: fen a payment (``least_minor``, ``most_minor``), fen and payments a business day (``day_…``), and
    over the code's whole life (``total_…``). ``hours`` is [] for always, or seven lists (Monday first) of
    ``[opens, closes]`` in minutes of the day in China, closes up to 1,440 and after opens. ``wallets`` [] means every
    wallet the shop takes; ``language`` "" the payer's own. ``choices`` are ``{"name", "name_en", "minor"}``.
    """

    code = ScopedForeignKey(QRCode, related_name="versions")
    number = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=200, blank=True, default="")
    withdrawn_at = models.DateTimeField(null=True)

    store = ScopedForeignKey(Store, related_name="+")
    terminal = ScopedForeignKey(Terminal, null=True, related_name="+")
    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True, default="")
    #: Answers to the fields of its kind, such as table number and area.
    details = models.JSONField(default=dict)
    pricing = models.CharField(max_length=8, choices=Pricing, default=Pricing.OPEN)
    amount_minor = models.BigIntegerField(null=True)
    choices = models.JSONField(default=list)
    currency = models.CharField(max_length=3, default="CNY")
    note_mode = models.CharField(max_length=8, choices=NoteMode, default=NoteMode.OPTIONAL)
    note_label = models.CharField(max_length=60, blank=True, default="")
    hours = models.JSONField(default=list)
    least_minor = models.BigIntegerField(null=True)
    most_minor = models.BigIntegerField(null=True)
    day_limit_minor = models.BigIntegerField(null=True)
    day_limit_count = models.PositiveIntegerField(null=True)
    total_limit_minor = models.BigIntegerField(null=True)
    total_limit_count = models.PositiveIntegerField(null=True)
    language = models.CharField(max_length=10, blank=True, default="")
    wallets = ArrayField(models.CharField(max_length=12), default=list)
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_version_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "code", "number"], name="qrcodes_version_number"
            ),
            models.CheckConstraint(
                condition=models.Q(pricing="fixed", amount_minor__gt=0)
                | (~models.Q(pricing="fixed") & models.Q(amount_minor__isnull=True)),
                name="qrcodes_version_amount",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_from__isnull=True)
                | models.Q(valid_until__isnull=True)
                | models.Q(valid_until__gt=models.F("valid_from")),
                name="qrcodes_version_period",
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant_id", "code", "-starts_at", "-number"],
                name="qrcodes_version_start",
            ),
        ]


class ActKind(models.TextChoices):
    """What can be done to many codes at once."""

    FOLDER = "folder", _("Move to a folder")
    LABEL = "label", _("Add labels")
    UNLABEL = "unlabel", _("Take labels off")
    STORE = "store", _("Move to another store")
    PAUSE = "pause", _("Pause")
    RESUME = "resume", _("Resume")
    RETIRE = "retire", _("Retire for good")


class CodeAct(MerchantScoped):
    """Something done to many codes at once. ``before`` has what each changed code was before, by its id, for undoing it.

    ``left_out`` counts the codes that stayed as they were, by the reason; ``left_ids`` has the ids of the first of each. ``words``
    says what was done: a folder's or store's name, labels, or why.
    """

    nonce = models.CharField(max_length=40)
    kind = models.CharField(max_length=8, choices=ActKind)
    words = models.CharField(max_length=340, blank=True, default="")
    before = models.JSONField(default=dict)
    #: The folder or store they were moved to.
    target = models.BigIntegerField(null=True)
    left_out = models.JSONField(default=dict)
    left_ids = models.JSONField(default=dict)
    count = models.PositiveIntegerField()
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    undone_at = models.DateTimeField(null=True)
    #: Codes that undoing left alone, since somebody changed them meanwhile.
    kept = models.PositiveIntegerField(default=0)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_act_wall"),
            models.UniqueConstraint(fields=["merchant_id", "nonce"], name="qrcodes_act_nonce"),
        ]


class Scan(MerchantScoped):
    """One opening of a code. Append-only, split by month on ``at``; holds no address and no payer."""

    code_id = models.BigIntegerField()
    store_id = models.BigIntegerField()
    at = models.DateTimeField()
    wallet = models.CharField(max_length=12, default="")

    class Meta:
        base_manager_name = "objects"


class AlertKind(models.TextChoices):
    """What is odd about how a code is used. The rules behind each stand in ``selectors.watching`` and ``reports``."""

    QUIET = "quiet", _("Gone quiet")
    SURGE = "surge", _("Far more scans than usual")
    UNPAID = "unpaid", _("Many scans, nothing paid")
    HOURS = "hours", _("Paid at an odd hour")
    STOPPED = "stopped", _("Still scanned though stopped")


class CodeAlert(MerchantScoped):
    """Something odd about a code that a person should look at; open until somebody has. One open alert a code and kind.

    ``since``: the first instant of what is odd, of the last that was found. ``facts`` are whole numbers and texts that its sentence
    is made of, as of ``seen_at``, when it was found last. What it has told when somebody looks raises no alert again.
    """

    code = ScopedForeignKey(QRCode, related_name="alerts")
    kind = models.CharField(max_length=8, choices=AlertKind)
    since = models.DateTimeField()
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    facts = models.JSONField(default=dict)
    looked_at = models.DateTimeField(null=True)
    looked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_alert_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "code", "kind"],
                condition=models.Q(looked_at__isnull=True),
                name="qrcodes_alert_open",
            ),
            models.CheckConstraint(
                condition=models.Q(looked_at__isnull=True, looked_by__isnull=True)
                | models.Q(looked_at__isnull=False, looked_by__isnull=False),
                name="qrcodes_alert_looked",
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant_id", "code", "kind", "looked_at"], name="qrcodes_alert_past"
            ),
        ]


class ArtworkDesign(MerchantScoped):
    """A merchant's look for its codes, by name; one of them may be the default.

    The choices are those of ``artwork.Design``. ``logo`` is the small PNG that ``artwork.read_logo`` made of an upload, None
    without one; the table bounds its size.
    """

    name = models.CharField(max_length=60)
    level = models.CharField(max_length=1, default="M")
    shape = models.CharField(max_length=8, default="square")
    foreground = models.CharField(max_length=7, default="#000000")
    background = models.CharField(max_length=7, default="#FFFFFF")
    accent = models.CharField(max_length=7, default="#206BC4")
    language = models.CharField(max_length=8, default="both")
    wallet_marks = models.BooleanField(default=True)
    logo = models.BinaryField(null=True)
    logo_width = models.PositiveSmallIntegerField(default=0)
    logo_height = models.PositiveSmallIntegerField(default=0)
    logo_percent = models.PositiveSmallIntegerField(default=20)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_design_wall"),
            models.UniqueConstraint(fields=["merchant_id", "name"], name="qrcodes_design_name"),
            models.UniqueConstraint(
                fields=["merchant_id"],
                condition=models.Q(is_default=True),
                name="qrcodes_design_default",
            ),
            models.CheckConstraint(
                condition=models.Q(level__in=["L", "M", "Q", "H"])
                & models.Q(shape__in=["square", "rounded"])
                & models.Q(language__in=["both", "zh-hans", "en"]),
                name="qrcodes_design_choices",
            ),
            models.CheckConstraint(
                condition=models.Q(logo__isnull=True) | models.Q(level__in=["Q", "H"]),
                name="qrcodes_design_logo_level",
            ),
        ]


class PrintState(models.TextChoices):
    """How far a print job is."""

    RUNNING = "running", _("Being drawn")
    READY = "ready", _("Ready")
    GONE = "gone", _("Made room for newer ones")
    REFUSED = "refused", _("Could not be drawn")
    CANCELLED = "cancelled", _("Cancelled")


class PrintJob(MerchantScoped):
    """Files for a print shop. ``code_ids`` in the order of printing; ``done`` of them are drawn, those in ``problems`` are not.

    ``problems`` are ``{"code", "name", "why", "facts"}``, which ``bulkwords.undrawn`` puts in words. A design that is changed
    meanwhile ends the job: half of a batch in other colours is of no use. ``size`` is the bytes of its files; ``spoken`` the language
    of whoever asked, in which the list of files is headed.
    """

    nonce = models.CharField(max_length=40)
    state = models.CharField(max_length=9, choices=PrintState, default=PrintState.RUNNING)
    #: "pdf": a file for each code; "book": a hundred codes a file; "svg".
    file = models.CharField(max_length=4)
    form = models.CharField(max_length=12)
    #: The design's id, None for the plain one. No key: a design may be deleted later.
    design_number = models.BigIntegerField(null=True)
    design_changed_at = models.DateTimeField(null=True)
    language = models.CharField(max_length=8)
    code_ids = ArrayField(models.BigIntegerField())
    done = models.PositiveIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    spoken = models.CharField(max_length=10, default="zh-hans")
    problems = models.JSONField(default=list)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_print_wall"),
            models.UniqueConstraint(fields=["merchant_id", "nonce"], name="qrcodes_print_nonce"),
        ]


class PrintFile(MerchantScoped):
    """One file of a print job; ``position`` is that of its first code."""

    job = ScopedForeignKey(PrintJob, related_name="files")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    content = models.BinaryField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="qrcodes_printfile_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "job", "position"], name="qrcodes_printfile_place"
            ),
        ]
