"""Books of rules, what they found, what became of it, and the assessment of risks."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.approvals.models import Approval
from apps.core.tenancy import MerchantScoped, ScopedForeignKey
from apps.merchants.models import Store
from apps.qrcodes.models import QRCode
from apps.risk.rules import Outcome, RuleKind, Subject


class Severity(models.TextChoices):
    """How soon somebody should look."""

    WATCH = "watch", _("Worth a look")
    SERIOUS = "serious", _("Look today")


class AlertState(models.TextChoices):
    """Where an alert stands. The last two are final."""

    OPEN = "open", pgettext_lazy("alert", "Open")
    SEEN = "seen", pgettext_lazy("alert", "Being looked at")
    FALSE_ALARM = "false_alarm", pgettext_lazy("alert", "False alarm")
    ACTED = "acted", pgettext_lazy("alert", "Dealt with")


#: States in which an alert waits for somebody.
OPEN_ALERTS = (AlertState.OPEN, AlertState.SEEN)


class DraftState(models.TextChoices):
    """What became of a change of the rules."""

    WAITING = "waiting", _("Waiting for confirmation")
    IN_FORCE = "in_force", pgettext_lazy("rules", "Accepted")
    DROPPED = "dropped", pgettext_lazy("rules", "Not accepted")


class HoldState(models.TextChoices):
    """What became of a thing that was held."""

    ASKED = "asked", _("Waiting for an answer")
    RELEASED = "released", pgettext_lazy("hold", "Released")
    REFUSED = "refused", pgettext_lazy("hold", "Refused")
    LEFT = "left", pgettext_lazy("hold", "Given up by the customer")


class Asked(models.TextChoices):
    """Who must answer before a held thing goes on."""

    PAYER = "payer", _("The payer")
    MEMBER = "member", _("A member")


class Likelihood(models.IntegerChoices):
    """How likely it is that it happens."""

    RARE = 1, pgettext_lazy("likelihood", "Rare")
    POSSIBLE = 2, pgettext_lazy("likelihood", "Possible")
    LIKELY = 3, pgettext_lazy("likelihood", "Likely")


class Harm(models.IntegerChoices):
    """How much harm it does."""

    SMALL = 1, pgettext_lazy("harm", "Small")
    MIDDLE = 2, pgettext_lazy("harm", "Noticeable")
    LARGE = 3, pgettext_lazy("harm", "Large")


class RiskRuleBook(MerchantScoped):
    """One version of a merchant's rules. Append-only. In force is the highest version whose day has come.

    ``rules`` is read and written by ``rules.read_rules`` and ``rules.write_rules``.
    """

    version = models.IntegerField()
    effective_from = models.DateField()
    rules = models.JSONField()
    reason = models.CharField(max_length=200, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="risk_book_wall"),
            models.UniqueConstraint(fields=["merchant_id", "version"], name="risk_book_version"),
            models.CheckConstraint(
                condition=models.Q(version__gte=1), name="risk_book_version_sane"
            ),
        ]


class RiskDraft(MerchantScoped):
    """A change of the rules, made of version ``based_on`` (0: the portal's own); at most one waits for confirmation."""

    based_on = models.IntegerField()
    effective_from = models.DateField()
    rules = models.JSONField()
    reason = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=DraftState, default=DraftState.WAITING)
    approval = ScopedForeignKey(Approval, null=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="risk_draft_wall"),
            models.UniqueConstraint(
                fields=["merchant_id"],
                condition=models.Q(state="waiting"),
                name="risk_draft_one_waits",
            ),
            models.CheckConstraint(
                condition=models.Q(state="waiting", ended_at__isnull=True)
                | (~models.Q(state="waiting") & models.Q(ended_at__isnull=False)),
                name="risk_draft_ended",
            ),
        ]


class RiskAlert(MerchantScoped):
    """What a rule found about one subject. One open alert a rule and subject; later findings add to its evidence.

    ``subject`` is an id as text, or the keyed hash of a payer. ``store`` None: of several stores or none, closed to members
    who reach some stores only. ``evidence`` holds ``count``, ``minor`` and ``base_minor`` (fen), ``first_at``, ``last_at``,
    ``shown`` (the latest facts: order, time, fen, kind), the book's ``version`` and the rule's ``values``. ``quiet_until``:
    once ended, what happened until then raises no other alert. ``froze_at``: the rule had the code frozen.
    """

    rule = models.CharField(max_length=20, choices=RuleKind)
    subject_kind = models.CharField(max_length=8, choices=Subject)
    subject = models.CharField(max_length=64)
    code = ScopedForeignKey(QRCode, null=True)
    store = ScopedForeignKey(Store, null=True)
    outcome = models.CharField(max_length=8, choices=Outcome)
    severity = models.CharField(max_length=8, choices=Severity)
    evidence = models.JSONField()
    state = models.CharField(max_length=12, choices=AlertState, default=AlertState.OPEN)
    raised_at = models.DateTimeField()
    last_at = models.DateTimeField()
    froze_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    quiet_until = models.DateTimeField(null=True)
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="risk_alert_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "rule", "subject_kind", "subject"],
                condition=models.Q(state__in=["open", "seen"]),
                name="risk_alert_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state__in=["open", "seen"], ended_at__isnull=True, quiet_until__isnull=True
                )
                | models.Q(
                    state__in=["false_alarm", "acted"],
                    ended_at__isnull=False,
                    quiet_until__isnull=False,
                ),
                name="risk_alert_ended",
            ),
            models.CheckConstraint(
                condition=models.Q(subject_kind="code", code__isnull=False)
                | (~models.Q(subject_kind="code") & models.Q(code__isnull=True)),
                name="risk_alert_code",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "-raised_at", "-id"], name="risk_alert_raised"),
            models.Index(
                fields=["merchant_id", "subject_kind", "subject"], name="risk_alert_subject"
            ),
        ]


class RiskFeedback(MerchantScoped):
    """What a member said of an alert. Append-only; ``verdict`` is the state that the alert went to."""

    alert = ScopedForeignKey(RiskAlert, related_name="feedback")
    verdict = models.CharField(max_length=12, choices=AlertState)
    note = models.CharField(max_length=200, default="")
    member = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="risk_feedback_wall"),
        ]


class RiskHold(MerchantScoped):
    """A thing of a higher room that does not go on before somebody answered; ``kind`` is registered in ``holds``.

    ``alert`` None where the subject was lately called a false alarm.
    """

    kind = models.CharField(max_length=12)
    subject_id = models.BigIntegerField()
    rule = models.CharField(max_length=20, choices=RuleKind)
    asked = models.CharField(max_length=8, choices=Asked)
    alert = ScopedForeignKey(RiskAlert, null=True, related_name="holds")
    store = ScopedForeignKey(Store, null=True)
    amount_minor = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=HoldState, default=HoldState.ASKED)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="risk_hold_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "kind", "subject_id"], name="risk_hold_one"
            ),
            models.CheckConstraint(
                condition=models.Q(state="asked", answered_at__isnull=True)
                | (~models.Q(state="asked") & models.Q(answered_at__isnull=False)),
                name="risk_hold_answered",
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant_id", "expires_at"],
                condition=models.Q(state="asked", asked="member"),
                name="risk_hold_waiting",
            ),
        ]


class RiskReview(MerchantScoped):
    """One look at one risk: what could happen and what is done about it. Append-only.

    A risk keeps its ``number``; its latest ``version`` is how it stands. ``is_gone``: it was taken off the list.
    """

    number = models.IntegerField()
    version = models.IntegerField()
    what = models.CharField(max_length=200)
    measure = models.CharField(max_length=400)
    likelihood = models.IntegerField(choices=Likelihood)
    harm = models.IntegerField(choices=Harm)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    is_gone = models.BooleanField(default=False)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reviewed_at = models.DateTimeField()
    next_review_date = models.DateField()
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "id"], name="risk_review_wall"),
            models.UniqueConstraint(
                fields=["merchant_id", "number", "version"], name="risk_review_version"
            ),
        ]
