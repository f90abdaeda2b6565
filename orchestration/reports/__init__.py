"""A page per experiment that a product manager reads, made from the published marts.

`read` holds every query, `words` the formats and phrases, `figures` what Matplotlib draws, `page` what
is said where, `write` the files.
"""

from orchestration.reports.write import Page, ReportsWritten, write_reports

__all__ = ["Page", "ReportsWritten", "write_reports"]
