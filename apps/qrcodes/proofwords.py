"""The scan proof and the look at stickers, in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.core.names import named
from apps.qrcodes.artwork import QUIET_ZONE, Design, DesignRefused
from apps.qrcodes.artwork.coverage import blocks, damage, version_of
from apps.qrcodes.artwork.design import LEAST_CONTRAST, LOGO_LEVELS, SMALLEST_MODULE_MM
from apps.qrcodes.proof import Proof, WouldNotScan
from apps.qrcodes.proof.photos import MOST_BYTES, MOST_PAGES, MOST_PIXELS, MOST_WHOLE_PIXELS
from apps.qrcodes.refusals import design_sentence
from apps.qrcodes.selectors import Identity, Unusable, Verdict


def harm_name(key: str) -> str:
    """What a row of the proof tries, or what else may be wrong with a code."""
    return {
        "px": _("Small in the picture (pixels a module)"),
        "blur": _("Out of focus (modules)"),
        "rotation": _("Turned (degrees)"),
        "tilt": _("Seen from the side (degrees)"),
        "contrast": _("Pale or in poor light (contrast left)"),
        "shade": _("Half in the shade (how much darker)"),
        "noise": _("Grainy, as at night (grain of 255)"),
        "wear": _("Scratched and dirty (part of the correction used up)"),
        "cover": _("A corner taped over (part of the code)"),
        "together": _("All of these together (part of what each may be)"),
        "quiet": _("Quiet zone: four light modules must stay free all around"),
    }.get(key, key)


def degree_words(key: str, degree: float) -> str:
    """One degree of a harm."""
    match key:
        case "rotation" | "tilt":
            return f"{degree:g}°"
        case "contrast" | "shade" | "wear" | "cover" | "together":
            return f"{degree * 100:g} %"
        case _:
            return f"{degree:g}"


def would_not_scan(error: WouldNotScan) -> str:
    """Why a code is refused before it is printed."""
    harms = [harm_name(key) for key in error.reasons if key != "module"]
    if not harms:
        return _(
            "At this width the modules are too fine for phones. Print the code at least %(least)d mm wide."
        ) % {"least": error.proof.least_width_mm}
    return _(
        "In this design the code is not read reliably: %(harms)s. Take a darker code, a higher level or a smaller logo."
    ) % {"harms": " · ".join(harms)}


def refusal_sentence(error: DesignRefused | WouldNotScan) -> str:
    """Why a code is not printed: by the rules of designs, or by its proof."""
    return would_not_scan(error) if isinstance(error, WouldNotScan) else design_sentence(error)


def photo_sentence(key: str) -> str:
    """Why a file cannot be looked at, or shows nothing."""
    match key:
        case "empty":
            return _("The file is empty.")
        case "too_many_bytes":
            return _("The file is larger than %(most)d MB. Send a smaller picture.") % {
                "most": MOST_BYTES // 1024 // 1024
            }
        case "too_many_pixels":
            return _(
                "The picture has more pixels than we look at: %(most)d million for a JPEG, %(whole)d million for other pictures. Send a smaller one."
            ) % {"most": MOST_PIXELS // 1_000_000, "whole": MOST_WHOLE_PIXELS // 1_000_000}
        case "heic":
            return _(
                "This is a HEIC picture, which we cannot open. On an iPhone choose “Most compatible” in the camera's settings, or send a screenshot."
            )
        case "svg":
            return _("This is an SVG drawing. Save it as PNG or PDF first.")
        case "animated":
            return _("This picture moves. Send a still one.")
        case "pdf_unsupported":
            return _("PDF files cannot be drawn here: poppler-utils is not installed.")
        case "pdf_broken":
            return _("This PDF cannot be opened. It may be damaged or locked.")
        case "too_many_pages":
            return _("A PDF may have %(most)d pages here. Split it.") % {"most": MOST_PAGES}
        case "broken":
            return _("The picture is damaged or cut off. Take it or save it again.")
        case "no_code":
            return _(
                "No code was found. Go nearer, hold the phone straight, and mind reflections; then try again."
            )
        case _other:
            return _("This is no picture that we know. Send a JPEG or PNG.")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a platform or a printer asks of a code: its name, what was found, whether that does, and why it matters."""

    name: str
    found: str
    well: bool
    why: str


def platform_checks(look: Design, proof: Proof) -> list[Check]:
    """What platforms and printers ask of a code, and what this one has."""
    size = proof.modules - 2 * QUIET_ZONE
    edge = look.patch(size)
    level = _("Level %(level)s, no logo") % {"level": look.level}
    if edge:
        spent = max(
            hurt / block.repairs
            for hurt, block in zip(
                damage(version_of(size), look.level, edge),
                blocks(version_of(size), look.level),
                strict=True,
            )
        )
        level = _(
            "Level %(level)s; the logo covers %(area)d percent and uses up %(spent)d percent of the correction"
        ) % {
            "level": look.level,
            "area": round(100 * edge * edge / size / size),
            "spent": round(100 * spent),
        }
    return [
        Check(
            _("Quiet zone"),
            _("%(count)d light modules all around") % {"count": QUIET_ZONE},
            True,
            _("Scanners find a code by the light around it. Do not cut into it."),
        ),
        Check(
            _("Contrast"),
            _("%(percent)d percent, dark on light; %(least)d are needed")
            % {"percent": round(proof.contrast * 100), "least": round(LEAST_CONTRAST * 100)},
            proof.contrast >= LEAST_CONTRAST,
            _("Prints fade and shops are dim. Light codes on dark are not read by every wallet."),
        ),
        Check(
            _("Error correction"),
            level,
            edge == 0 or look.level in LOGO_LEVELS,
            _(
                "A logo hides modules, which the correction must restore; at least half of it is left for dirt and scratches."
            ),
        ),
        Check(
            _("Module"),
            _("%(module).2f mm at the smallest safe width; %(least).1f mm are needed")
            % {
                "module": proof.least_width_mm / proof.modules,
                "least": SMALLEST_MODULE_MM,
            },
            proof.least_width_mm / proof.modules >= SMALLEST_MODULE_MM,
            _("Office printers let finer modules run together."),
        ),
    ]


@dataclass(frozen=True, slots=True)
class VerdictWords:
    """A verdict: a title, what it means and what to do, and its tone."""

    title: str
    text: str
    tone: str


def _why_stopped(told: Identity) -> str:
    """Why a code of the merchant takes no payments."""
    match told.why:
        case Unusable.PAUSED:
            return _("It is paused. Whoever scans it is told so; resume it on its page.")
        case Unusable.NOT_YET:
            return _("Its time has not begun. Whoever scans it is told so.")
        case Unusable.EXPIRED:
            return _("Its time is over. Take it down, or give it more time on its page.")
        case Unusable.STORE_CLOSED:
            return _("Its store is closed in the portal. Open the store, or take the code down.")
        case _other:
            return _("It is outside its opening hours now. Whoever scans it is told so.")


def verdict_words(told: Identity) -> VerdictWords:
    """What a sticker is, in words."""
    verdict = told.verdict
    if verdict.is_foreign:
        return _foreign_words(told)
    name = named(told.code.scenario) if told.code else ""
    match verdict:
        case Verdict.OURS:
            return VerdictWords(
                _("This is your code “%(name)s”") % {"name": name},
                _(
                    "It takes payments, and they reach you. Compare the shop's name and the amount on the sticker with its page: only the code itself is looked at here."
                ),
                "ok",
            )
        case Verdict.STOPPED:
            return VerdictWords(
                _("Your code “%(name)s” takes no payments now") % {"name": name},
                _why_stopped(told),
                "wait",
            )
        case Verdict.RETIRED:
            return VerdictWords(
                _("An old code of yours, “%(name)s”") % {"name": name},
                _(
                    "It is retired and cannot be paid any more. Take it down and put up the new one."
                ),
                "wait",
            )
        case Verdict.ELSEWHERE:
            return VerdictWords(
                _("A code of this merchant, in another store"),
                _("You do not look after that store. Ask its manager before you take it down."),
                "info",
            )
        case _other:
            return VerdictWords(
                _("No payment code: Wi-Fi, a card, a number or words"),
                _("No payment opens by it. If you did not put it up, take it down all the same."),
                "quiet",
            )


def _foreign_words(told: Identity) -> VerdictWords:
    lost = _(
        "Money paid by it does not reach you. Photograph it where it hangs, take it down, keep it, look at your other codes, and put your own up again. If it was pasted over yours, tell the police and your platform; customers who paid need their wallet's help."
    )
    unsafe = _(
        "The portal prints no such code. Take it down and put up a fresh print of yours: somebody has made it, and what opens by it may change on the way."
    )
    match told.verdict:
        case Verdict.OTHER_MERCHANT:
            title, text = _("Foreign: the code of another merchant"), lost
        case Verdict.UNKNOWN:
            title = _("Foreign: it looks like ours, but no code has this number")
            text = _(
                "Nobody can pay by it: customers who scan it are told that there is no such code. Take it down and put up a fresh print of yours."
            )
        case Verdict.ALTERED:
            title, text = _("Foreign: it leads here, but not as we print it"), unsafe
        case Verdict.INSECURE:
            title = _("Foreign: our name at another door or without encryption, %(host)s") % {
                "host": told.host
            }
            text = unsafe
        case Verdict.LOOK_ALIKE:
            title = _("Foreign: an address made to look like ours, %(host)s") % {"host": told.host}
            text = lost
        case Verdict.WALLET:
            title = _("Foreign: a code for payments or contacts of a wallet or another till")
            text = _(
                "Money paid by it goes to whoever the wallet made it for. If you made it yourself in the wallet's app, the portal cannot see its payments; if not, photograph it, take it down, and put your own code up again."
            )
        case Verdict.OTHER_LINK:
            title, text = _("Foreign: it leads to %(host)s") % {"host": told.host}, lost
        case _other:
            title, text = _("Foreign: it opens something that is no web page"), lost
    return VerdictWords(title, text, "bad")
