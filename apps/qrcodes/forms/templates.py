"""The form of a merchant's own template."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.names import one_line
from apps.qrcodes.models import ScenarioKind
from apps.qrcodes.scenarios import OwnQuestion
from apps.qrcodes.services import TemplateRefused

#: The longest label of a question.
LABEL_LENGTH = 30


class TemplateForm(forms.Form):
    """Its name, what it is like, and what it asks about each code."""

    name = forms.CharField(label=_("Name"), max_length=60)
    name_en = forms.CharField(label=_("English name"), max_length=80, required=False)
    kind = forms.ChoiceField(
        label=_("Counts as"),
        help_text=_("For lists and reports, and for its icon."),
        choices=ScenarioKind.choices,
        initial=ScenarioKind.CUSTOM.value,
    )
    questions = forms.CharField(
        label=_("What it asks about each code"),
        help_text=_("One a line, six at most; after a slash in English, such as: 楼层 / Floor"),
        required=False,
        max_length=600,
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    def clean_name(self) -> str:
        """The name on one line."""
        return one_line(self.cleaned_data["name"])

    def clean_name_en(self) -> str:
        """The English name on one line."""
        return one_line(self.cleaned_data["name_en"])

    def clean_questions(self) -> list[OwnQuestion]:
        """The questions. Raises ValidationError that names the line."""
        questions: list[OwnQuestion] = []
        for number, line in enumerate(str(self.cleaned_data["questions"]).splitlines(), start=1):
            label, _slash, english = (one_line(part) for part in line.partition("/"))
            if not label and not english:
                continue
            problem = self._problem(label or english, english, questions)
            if problem:
                raise ValidationError(
                    gettext("Line %(line)d: %(words)s"),
                    params={"line": number, "words": problem},
                    code="line",
                )
            questions.append(OwnQuestion(label=label or english, label_en=english))
        return questions

    @staticmethod
    def _problem(label: str, english: str, before: list[OwnQuestion]) -> str:
        if max(len(label), len(english)) > LABEL_LENGTH:
            return gettext("A question has at most %(most)d characters.") % {"most": LABEL_LENGTH}
        if label in {question.label for question in before}:
            return gettext("This is asked already.")
        return ""

    def refuse(self, refused: TemplateRefused) -> None:
        """Say at its field why the template cannot be like this."""
        words = {
            "taken": gettext("Another template has this name. Choose another."),
            "missing": gettext("This field is required."),
        }
        too_many = gettext("That is too many. Take one away first.")
        self.add_error(refused.field or None, words.get(refused.reason, too_many))


def written_questions(fields: list[dict[str, str]]) -> str:
    """What the form reads."""
    return "\n".join(
        f"{one['label']} / {one['label_en']}" if one["label_en"] else one["label"] for one in fields
    )
