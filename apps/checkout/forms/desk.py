"""What is typed at the desk, at the ends of a shift, and for a display on the wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.checkout.forms import NOTE_LENGTH, TillForm, one_line
from apps.core.names import named
from apps.merchants.models import Store, Terminal
from apps.qrcodes.models import QRCode


class DeskForm(TillForm):
    """The till's form without a customer's code: the amount to ask for."""

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        terminals: Sequence[Terminal],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, stores=stores, terminals=terminals, initial=initial)
        for name in ("code", "note", "after"):
            del self.fields[name]
        choices = self.fields["terminal"].choices  # type: ignore[attr-defined]  # a ChoiceField
        self.fields["terminal"].choices = [("", _("No terminal")), *list(choices)[1:]]  # type: ignore[attr-defined]  # as above
        self.store_of = {terminal.pk: terminal.store_id for terminal in terminals}
        # The desk's keys of its own fill it: an Enter asks for the amount.
        attributes = self.fields["amount"].widget.attrs
        del attributes["data-till-amount"]
        attributes |= {"data-desk-amount": True, "enterkeyhint": "go"}

    def clean(self) -> dict[str, Any]:
        """A terminal stands in the chosen store."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        terminal = cleaned.get("terminal")
        if terminal is not None and self.store_of.get(terminal) != cleaned.get("store"):
            self.add_error("terminal", _("This terminal does not stand in this store."))
        return cleaned


class ShiftForm(forms.Form):
    """The store (when a shift is opened) and what the cashier wants to remember."""

    store = forms.TypedChoiceField(
        label=_("Store"),
        coerce=int,
        error_messages={"invalid_choice": _("Choose one of your open stores.")},
    )
    note = forms.CharField(
        label=_("Remark"),
        required=False,
        max_length=NOTE_LENGTH,
        help_text=_("Such as the cash in the drawer."),
        error_messages={"max_length": _("The note may have %(limit_value)d characters at most.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store] | None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        if stores is None:
            del self.fields["store"]
            return
        self.fields["store"].choices = [(row.pk, named(row)) for row in stores]  # type: ignore[attr-defined]  # a ChoiceField
        if len(stores) == 1:
            self.fields["store"].widget = forms.HiddenInput()
            self.fields["store"].initial = stores[0].pk

    def clean_note(self) -> str:
        """The note on one line."""
        return one_line(str(self.cleaned_data["note"]))

    def seen(self) -> frozenset[int]:
        """The orders that were named as still open when the member chose to close the shift all the same."""
        found = str(self.data.get("seen", ""))[:2_000].split("-")
        return frozenset(int(one) for one in found if one.isascii() and one.isdigit())


class DisplayForm(forms.Form):
    """A display on the wall: where it hangs, and what it shows large."""

    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=40,
        help_text=_("Such as “Screen at the door”; only you see it."),
    )
    #: ``store-<id>``: what any desk asks for; ``terminal-<id>``: what the desk with this terminal asks for; ``code-<id>``: this code.
    shows = forms.ChoiceField(label=_("What it shows"))

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        codes: Sequence[QRCode],
        terminals: Sequence[Terminal],
    ) -> None:
        super().__init__(data)
        by_store: dict[int, list[tuple[str, Any]]] = {}
        for terminal in terminals:
            asks = gettext("%(terminal)s: the amount that the desk with this terminal asks for")
            by_store.setdefault(terminal.store_id, []).append(
                (f"terminal-{terminal.pk}", asks % {"terminal": terminal.name})
            )
        for code in codes:
            place = by_store.setdefault(code.store_id, [])
            place.append((f"code-{code.pk}", named(code.scenario)))
        self.fields["shows"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (
                named(store),
                [
                    (
                        f"store-{store.pk}",
                        gettext("%(store)s: the amount that the desk asks for")
                        % {"store": named(store)},
                    ),
                    *by_store.get(store.pk, []),
                ],
            )
            for store in stores
        ]
        self._stores = {f"code-{code.pk}": code.store_id for code in codes} | {
            f"terminal-{terminal.pk}": terminal.store_id for terminal in terminals
        }

    def clean_name(self) -> str:
        """The name on one line."""
        return one_line(str(self.cleaned_data["name"]))

    def chosen(self) -> tuple[int, int | None, int | None]:
        """The store, and the code or the terminal or neither, of a form that is valid."""
        shows = str(self.cleaned_data["shows"])
        kind, _dash, number = shows.partition("-")
        if kind == "store":
            return int(number), None, None
        store_id, chosen = self._stores[shows], int(number)
        return (store_id, chosen, None) if kind == "code" else (store_id, None, chosen)
