"""Whether codes scan, shown before they are printed, and what a photograph of one shows. No models, no requests, no clock.

``qrcode`` makes our codes and zxing-cpp judges them here, so maker and judge cannot share a mistake. What happens to a code on a
wall is imitated with pillow alone: the same seed gives the same picture, always.
"""

from apps.qrcodes.proof.damage import Harm, Subject, harmed, subject_of
from apps.qrcodes.proof.judging import Reading, read_codes, reads_as
from apps.qrcodes.proof.proving import (
    Cell,
    Proof,
    WouldNotScan,
    forget_proofs,
    prove,
    prove_design,
    require_scannable,
)

__all__ = [
    "Cell",
    "Harm",
    "Proof",
    "Reading",
    "Subject",
    "WouldNotScan",
    "forget_proofs",
    "harmed",
    "prove",
    "prove_design",
    "read_codes",
    "reads_as",
    "require_scannable",
    "subject_of",
]
