"""The form that makes many codes at once, and the empty table for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _
from typing_extensions import override as overrides

from apps.core.fields import offer
from apps.core.names import named, one_line, speaks_english
from apps.merchants.models import Merchant, Store
from apps.qrcodes.batches import (
    MOST_BYTES,
    NUMBER,
    FileRefused,
    Flaw,
    Row,
    decode,
    filled,
    read_labels,
    read_numbers,
    read_table,
    row_terms,
)
from apps.qrcodes.bulkwords import file_sentence, flaw_sentence
from apps.qrcodes.forms.codes import read_amount
from apps.qrcodes.forms.folders import FOLDER_LENGTH, FolderField, clean_labels
from apps.qrcodes.models import CodeFolder
from apps.qrcodes.scenarios import Question, Template
from apps.qrcodes.selectors import print_flaws
from apps.qrcodes.services import flaws_of, taken_flaws
from apps.qrcodes.terms import ANSWER_LENGTH, NAME_EN_LENGTH, NAME_LENGTH, CodeTerms

_LANGUAGES: Final = ("zh-hans", "en")


def called(questions: Iterable[Question]) -> dict[str, frozenset[str]]:
    """What a table's heading may call each question: its key and its label in both languages, in lower case."""
    names: dict[str, frozenset[str]] = {}
    for question in questions:
        words = {question.key.casefold()}
        for language in _LANGUAGES:
            with override(language):
                words.add(str(question.label).casefold())
        names[question.key] = frozenset(words)
    return names


class BatchForm(forms.Form):
    """Many codes by a range of numbers or by a table. Valid, it has ``rows``; else ``flaws`` says what is wrong row by row."""

    use_required_attribute = False

    store = forms.TypedChoiceField(label=_("Store"), coerce=int)
    way = forms.ChoiceField(
        label=_("Which codes"),
        choices=[("range", _("By numbers")), ("table", _("From a table (CSV)"))],
        initial="range",
        widget=forms.RadioSelect,
    )
    numbers = forms.CharField(
        label=_("Which numbers"),
        help_text=_("Such as 1-200, or A01-A20, B1-B8, VIP. A leading zero is kept."),
        required=False,
        max_length=2_000,
    )
    without_four = forms.BooleanField(label=_("Leave out numbers with a 4"), required=False)
    pattern = forms.CharField(
        label=_("Name"),
        help_text=_("{number} stands for the number and {area} for the area, on the placard too."),
        required=False,
        max_length=NAME_LENGTH,
    )
    pattern_en = forms.CharField(label=_("English name"), required=False, max_length=NAME_EN_LENGTH)
    area = forms.CharField(
        label=_("Area"), help_text=_("Such as “Terrace”."), required=False, max_length=ANSWER_LENGTH
    )
    file = forms.FileField(
        label=_("Table"),
        help_text=_(
            "CSV in UTF-8 or GB18030, at most 1 MB and 2,000 rows; the first line names the columns."
        ),
        required=False,
        allow_empty_file=True,
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv,text/plain"}),
    )
    #: The text of the table between the preview and the making.
    table = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    folder = FolderField(label=_("Folder"))
    new_folder = forms.CharField(
        label=_("or a new folder"), required=False, max_length=FOLDER_LENGTH
    )
    labels = forms.CharField(
        label=_("Labels"),
        help_text=_("Between commas, such as: summer, terrace"),
        required=False,
        max_length=400,
    )
    skip_existing = forms.BooleanField(
        label=_("Leave out names that this store has already"), required=False
    )
    nonce = forms.CharField(max_length=40, widget=forms.HiddenInput)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: MultiValueDict[str, UploadedFile[bytes]] | None = None,
        *,
        stores: Sequence[Store],
        folders: Sequence[CodeFolder],
        template: Template,
        base: CodeTerms,
        merchant: Merchant,
        now: datetime,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, files, initial=dict(initial or {}))
        self._stores = stores
        self.folders = folders
        self._template = template
        self._base = base
        self._merchant = merchant
        self._now = now
        self.rows: list[Row] = []
        self.flaws: list[Flaw] = []
        self.skipped: list[str] = []
        #: Whether rows of the table bring amounts of their own.
        self.has_own_amounts = False
        offer(
            self,
            store=[(store.pk, named(store)) for store in stores],
            folder=[("", gettext("None")), *((one.pk, one.name) for one in folders)],
        )
        # The browser hides what the other way asks, so both are shown as needed at first.
        way = (data or {}).get("way")
        self.fields["numbers"].required = self.fields["pattern"].required = way != "table"
        self.fields["file"].required = way == "table" and not (data or {}).get("table")
        self._keys = [question.key for question in template.questions]
        if "area" not in self._keys:
            del self.fields["area"]

    @property
    def by_table(self) -> bool:
        """Whether the rows come from a table."""
        return bool(self["way"].value() == "table")

    def clean_pattern(self) -> str:
        """On one line."""
        return one_line(self.cleaned_data["pattern"])

    def clean_pattern_en(self) -> str:
        """On one line."""
        return one_line(self.cleaned_data["pattern_en"])

    def clean_area(self) -> str:
        """On one line."""
        return one_line(self.cleaned_data["area"])

    def clean_new_folder(self) -> str:
        """On one line."""
        return one_line(self.cleaned_data["new_folder"])

    def clean_labels(self) -> tuple[str, ...]:
        """Each once. Raises ValidationError."""
        return clean_labels(self.cleaned_data["labels"])

    @overrides
    def clean(self) -> dict[str, Any]:
        """Reads the rows; what is wrong with them stands in ``flaws``, not among the fields' errors."""
        cleaned = super().clean() or self.cleaned_data
        if "store" in cleaned:
            self._base = replace(self._base, store_id=cleaned["store"], terminal_id=None)
        if cleaned.get("way") == "table":
            self._read_table(cleaned)
        elif cleaned.get("way") == "range":
            self._read_range(cleaned)
        if not self.errors:
            self._weigh(cleaned)
        return cleaned

    def _read_range(self, cleaned: Mapping[str, Any]) -> None:
        if "numbers" in self.errors:
            return
        numbers, flaws = read_numbers(
            cleaned.get("numbers", ""), without_four=cleaned.get("without_four", False)
        )
        pattern = cleaned.get("pattern", "")
        if NUMBER not in pattern and len(numbers) > 1 and "pattern" not in self.errors:
            self.add_error(
                "pattern", gettext("Write {number} where the number goes, such as: Table {number}")
            )
        if flaws:
            self.add_error("numbers", [flaw_sentence(flaw) for flaw in flaws])
        area = cleaned.get("area", "")
        for line, number in enumerate(numbers, start=1):
            values = {"number": number, "area": area}
            self._add(line, values, cleaned, minor=None, labels=())

    def _read_table(self, cleaned: dict[str, Any]) -> None:
        upload: UploadedFile[bytes] | None = cleaned.get("file")
        try:
            if upload is not None:
                if (upload.size or 0) > MOST_BYTES:
                    raise FileRefused("too_large")
                cleaned["table"] = decode(upload.read())
            elif not cleaned.get("table"):
                return
        except FileRefused as refused:
            self.add_error("file", file_sentence(refused))
            return
        reading = read_table(cleaned["table"], questions=called(self._template.questions))
        self.flaws += reading.flaws
        for line, cells in reading.rows:
            values = dict(cells)
            if not values.get("area"):
                values["area"] = cleaned.get("area", "")
            minor = self._amount(line, values)
            self.has_own_amounts = self.has_own_amounts or minor is not None
            labels = read_labels(values.get("labels", ""))
            self._add(line, values, cleaned, minor=minor, labels=labels)

    def _amount(self, line: int, values: Mapping[str, str]) -> int | None:
        text = values.get("amount", "")
        if not text:
            return None
        try:
            return read_amount(text).minor
        except ValidationError as error:
            self.flaws.append(Flaw(line, "amount", "said", error.messages[0]))
            return None

    def _add(
        self,
        line: int,
        values: Mapping[str, str],
        cleaned: Mapping[str, Any],
        *,
        minor: int | None,
        labels: tuple[str, ...],
    ) -> None:
        terms = row_terms(
            self._base,
            values,
            questions=self._keys,
            pattern=cleaned.get("pattern", ""),
            pattern_en=cleaned.get("pattern_en", ""),
            minor=minor,
        )
        every = tuple(dict.fromkeys([*(cleaned.get("labels") or ()), *labels]))
        self.rows.append(
            Row(
                line,
                terms,
                kind=self._template.kind,
                template_id=self._template.template_id,
                labels=every,
            )
        )

    def _weigh(self, cleaned: Mapping[str, Any]) -> None:
        """Drop the rows that are there already, where that is wanted, and find what is wrong with the others."""
        store = next(store for store in self._stores if store.pk == cleaned["store"])
        taken = taken_flaws(self.rows, store_id=store.pk)
        if cleaned.get("skip_existing"):
            self.skipped = [flaw.value for flaw in taken]
            there = set(self.skipped)
            self.rows = [row for row in self.rows if row.terms.name not in there]
        else:
            self.flaws += taken
        self.flaws += flaws_of(self.rows, now=self._now)
        self.flaws += print_flaws(self.rows, store=store, merchant=self._merchant)
        self.flaws.sort(key=lambda flaw: flaw.line)
        if not self.rows and not self.flaws:
            self.add_error(None, gettext("Nothing is left to be made: this store has all of them."))

    @property
    def settled(self) -> bool:
        """Whether the rows can be made."""
        return self.is_valid() and not self.flaws


def heading_of(template: Template) -> list[str]:
    """The columns of an empty table for a kind of code, as the page's language calls them."""
    asked = [
        question.key if speaks_english() else str(question.label) for question in template.questions
    ]
    if speaks_english():
        return ["name", "name_en", *asked, "amount", "labels"]
    return ["名称", "英文名称", *asked, "金额", "标签"]


def example_rows(template: Template, *, pattern: str, pattern_en: str) -> list[list[str]]:
    """Two rows that show how the table is filled in."""
    rows: list[list[str]] = []
    for number in ("1", "2"):
        values = {"number": number, "area": ""}
        answers = [number if question.key == "number" else "" for question in template.questions]
        name, english = filled(pattern, values), filled(pattern_en, values)
        rows.append([name, english, *answers, "", ""])
    return rows


def initial_patterns(template: Template) -> tuple[str, str]:
    """What the names of many codes of a kind begin as, in Chinese and in English."""
    if template.kind == "table":
        return f"桌号 {NUMBER}", f"Table {NUMBER}"
    with override("zh-hans"):
        chinese = str(template.title)
    with override("en"):
        english = str(template.title)
    return f"{chinese} {NUMBER}"[:NAME_LENGTH], f"{english} {NUMBER}"[:NAME_EN_LENGTH]
