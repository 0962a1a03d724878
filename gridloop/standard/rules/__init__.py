"""What a standard is, how a pack becomes one, and what its own tests must show. Values in, values out."""

from gridloop.standard.rules.building import build
from gridloop.standard.rules.loading import Files, load_district, load_pack
from gridloop.standard.rules.scenarios import CheckResult, run_tests
from gridloop.standard.rules.standard import (
    LEVELS,
    STAGES,
    CaseType,
    DuplicateRule,
    EvidenceRule,
    FeedbackRule,
    FilingCondition,
    Indicator,
    PersonSelector,
    Question,
    Rate,
    Route,
    Scheme,
    Standard,
    UnitSelector,
)

__all__ = [
    "LEVELS",
    "STAGES",
    "CaseType",
    "CheckResult",
    "DuplicateRule",
    "EvidenceRule",
    "FeedbackRule",
    "Files",
    "FilingCondition",
    "Indicator",
    "PersonSelector",
    "Question",
    "Rate",
    "Route",
    "Scheme",
    "Standard",
    "UnitSelector",
    "build",
    "load_district",
    "load_pack",
    "run_tests",
]
