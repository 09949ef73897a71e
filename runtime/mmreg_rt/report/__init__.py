"""Reports of a registration: ``report.html`` for people, ``result.json`` for programs."""

from ..text.json_values import plain
from .input import ReportInput, TruthScore, versions
from .page import failure_page, result_page
from .planes import orientation
from .quality import figures, verdict
from .summary import error_summary, failure_summary, result_summary

__all__ = [
    "ReportInput",
    "TruthScore",
    "error_summary",
    "failure_page",
    "failure_summary",
    "figures",
    "orientation",
    "plain",
    "result_page",
    "result_summary",
    "verdict",
    "versions",
]
