"""What people hand in about differences: an act and its reason, a comment, a rule that acts by itself, narrower lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.fields import DayField, FenField, offer
from apps.core.money import Money
from apps.core.names import named
from apps.ledger.models import Purpose
from apps.merchants.models import Store
from apps.platforms.models import PlatformAccount, PlatformChoice
from apps.reconciliation.acts import PURPOSE_WORDS
from apps.reconciliation.forms.days import AGES, NOTE_LENGTH
from apps.reconciliation.models import DifferenceType, ResolutionKind
from apps.reconciliation.selectors import CHOICES, PURPOSES
from apps.reconciliation.services import ACTIONS, MOST_LIMIT

#: Kinds of difference that need somebody.
NEEDING: Final = [
    choice
    for choice in DifferenceType.choices
    if choice[0] not in {"expected", "carry_in", "carry_out"}
]


class ActForm(forms.Form):
    """How a difference is settled: a reason, and what the kind asks for besides."""

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        kind: ResolutionKind,
        purpose: Purpose | None = None,
        stores: Sequence[Store] = (),
        targets: Sequence[tuple[str, str]] = (),
        owners: Sequence[User] = (),
    ) -> None:
        super().__init__(data)
        if kind == ResolutionKind.LINK:
            self.fields["target"] = forms.ChoiceField(
                label=_("It is this one of yours"),
                choices=targets,
                widget=forms.RadioSelect,
                error_messages={"required": _("Choose which one it is.")},
            )
        if kind == ResolutionKind.ADJUST:
            self.fields["purpose"] = forms.ChoiceField(
                label=_("Against which account"),
                choices=[(each.value, PURPOSE_WORDS[each]) for each in PURPOSES],
                initial=purpose,
                required=False,
            )
        if kind == ResolutionKind.ACCEPT and len(stores) > 1:
            self.fields["store"] = forms.TypedChoiceField(
                label=_("Shop"),
                coerce=int,
                choices=[(store.pk, named(store)) for store in stores],
                required=False,
                empty_value=None,
            )
        if kind == ResolutionKind.ASSIGN:
            # Not ``owner``: forms that pass a list's filters on send that name too.
            self.fields["assignee"] = forms.TypedChoiceField(
                label=_("To whom"),
                coerce=int,
                choices=[
                    ("", gettext("Nobody")),
                    *((user.pk, user.display_name) for user in owners),
                ],
                required=False,
                empty_value=None,
            )
            return
        asked = kind in {ResolutionKind.KEEP, ResolutionKind.ADJUST, ResolutionKind.WRITE_OFF}
        self.fields["reason"] = forms.CharField(
            label=_("What it was, and why"),
            max_length=NOTE_LENGTH,
            required=asked,
            widget=forms.Textarea(attrs={"rows": 3}),
            error_messages={
                "required": _("Write why, so that it can be understood later."),
                "max_length": _("The reason is too long: 1000 characters at most."),
            },
        )


class CommentForm(forms.Form):
    """A word for the others."""

    text = forms.CharField(
        label=_("Comment"),
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={
            "required": _("Write something first."),
            "max_length": _("The comment is too long: 1000 characters at most."),
        },
    )


class LimitForm(forms.Form):
    """Up to which amount a difference may be written off."""

    limit = FenField(label=_("Write off up to, in yuan"))

    def clean_limit(self) -> int:
        """The limit in fen. Raises ValidationError above what makes sense."""
        limit: int = self.cleaned_data["limit"]
        if limit > MOST_LIMIT:
            raise forms.ValidationError(
                gettext("%(most)s at most: larger differences are booked as corrections.")
                % {"most": Money(MOST_LIMIT).display()}
            )
        return limit


class AutoRuleForm(forms.Form):
    """One rule by which matching settles differences itself."""

    type = forms.ChoiceField(label=_("Kind of difference"), required=False)
    where = forms.ChoiceField(label=_("Platform or account"), required=False)
    min_amount_minor = FenField(label=_("Amount from, in yuan"), required=False)
    max_amount_minor = FenField(label=_("Amount up to, in yuan"), required=False)
    max_gap_minor = FenField(
        label=_("Gap up to, in yuan"),
        required=False,
        help_text=_(
            "What bill and books are apart after fees, such as 0.01 for a fen of rounding."
        ),
    )
    min_age_days = forms.IntegerField(
        label=_("Open for at least, in days"), min_value=0, max_value=365, required=False
    )
    action = forms.ChoiceField(label=_("Then"))
    reason = forms.CharField(
        label=_("Reason that is noted"),
        max_length=200,
        error_messages={"required": _("Write why, so that it can be understood later.")},
    )
    effective_from = DayField(label=_("For days from"))

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        accounts: Sequence[PlatformAccount],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        platforms = dict.fromkeys(row.platform for row in accounts)
        choices: dict[str, list[tuple[Any, Any]]] = {
            "type": [("", gettext("All kinds")), *NEEDING],
            "where": [
                ("", gettext("All accounts")),
                *((f"p-{name}", PlatformChoice(name).label) for name in platforms),
                *((f"a-{row.pk}", f"{row.label} · {row.merchant_no}") for row in accounts),
            ],
            "action": [(each.value, each.label) for each in ACTIONS],
        }
        offer(self, **choices)

    def clean(self) -> dict[str, Any]:
        """Conditions that can hold at once, for an action that fits the kind. Raises ValidationError."""
        given = super().clean() or {}
        least, most = given.get("min_amount_minor"), given.get("max_amount_minor")
        if least is not None and most is not None and least > most:
            self.add_error("max_amount_minor", gettext("It is smaller than the amount from."))
        kind, action = given.get("type"), given.get("action")
        if kind and action and action not in CHOICES.get(DifferenceType(kind), ()):
            self.add_error("action", gettext("That does not fit this kind of difference."))
        where = given.pop("where", "")
        given["platform"] = where[2:] if where.startswith("p-") else ""
        given["account_id"] = int(where[2:]) if where.startswith("a-") else None
        given["min_age_days"] = given.get("min_age_days") or 0
        return given


class OpenForm(forms.Form):
    """Which of all open differences are shown."""

    type = forms.ChoiceField(label=_("Kind of difference"), required=False)
    account = forms.TypedChoiceField(
        label=_("Account"), coerce=int, required=False, empty_value=None
    )
    owner = forms.TypedChoiceField(
        label=_("Who looks after it"), coerce=int, required=False, empty_value=None
    )
    age = forms.TypedChoiceField(
        label=_("First seen"), required=False, coerce=int, empty_value=None, choices=AGES
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        accounts: Sequence[PlatformAccount],
        owners: Sequence[User],
    ) -> None:
        super().__init__(data)
        choices: dict[str, list[tuple[Any, Any]]] = {
            "type": [("", gettext("All kinds")), *NEEDING],
            "account": [("", gettext("All accounts")), *((row.pk, row.label) for row in accounts)],
            "owner": [
                ("", gettext("Everybody")),
                (0, gettext("Nobody yet")),
                *((owner.pk, owner.display_name) for owner in owners),
            ],
        }
        offer(self, **choices)
