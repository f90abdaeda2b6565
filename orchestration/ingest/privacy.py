"""What becomes of an attribute's value before it may enter the lake, read from the declarations."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from orchestration.ingest.errors import IngestError

CATALOG = Path(__file__).resolve().parents[2] / "seeds" / "catalog"

# The first of these that is not empty is the unit; `session.id` stands apart.
USER_KEYS = ("feature_flag.context.id", "user.id", "enduser.pseudo.id", "enduser.id")
SESSION_KEYS = ("session.id",)


class Privacy(IntEnum):
    """How a value is treated."""

    NONE = 0
    IDENTIFIER = 1
    PERSONAL = 2
    CONTENT = 3


@dataclass(frozen=True)
class PrivacyPolicy:
    """Privacy by attribute, and by event and attribute where the tracking plan says so."""

    catalog: dict[str, Privacy]
    plan: dict[tuple[str, str], Privacy]
    attribute_names: dict[str, str]
    event_names: dict[str, str]

    def of(self, event: str, attribute: str) -> Privacy:
        """The treatment of an attribute on an event, both under whatever name they came.

        The plan wins over the catalog, except that no plan can let an identifier pass.
        """
        name = self.attribute_names.get(attribute, attribute)
        declared = self._declared(name)
        if declared is Privacy.IDENTIFIER:
            return declared
        event_name = self.event_names.get(event, event)
        for planned in ((event_name, name), ("*", name)):
            if planned in self.plan:
                return self.plan[planned]
        return declared

    def _declared(self, name: str) -> Privacy:
        """What the catalog says of a key or, as in `gen_ai.prompt.0.content`, of what it is part of."""
        while name not in self.catalog and "." in name:
            name = name.rpartition(".")[0]
        return self.catalog.get(name, Privacy.NONE)

    def is_identifier(self, attribute: str) -> bool:
        """Whether the attribute's values name a user, a session or another unit."""
        name = self.attribute_names.get(attribute, attribute)
        return self.catalog.get(name) is Privacy.IDENTIFIER


def load_privacy(declarations: Path, catalog: Path = CATALOG) -> PrivacyPolicy:
    """Read attune's own catalog and the tracking plan of the declarations.

    Args:
        declarations: folder with `catalog/tracking_plan.csv`.
        catalog: folder with `attribute_privacy.csv` and `attribute_aliases.csv`.

    Raises:
        IngestError: a file is missing, or a row says a privacy that does not exist.
    """
    attribute_names: dict[str, str] = {}
    event_names: dict[str, str] = {}
    for _, row in _rows(catalog / "attribute_aliases.csv"):
        names = event_names if row["kind"] == "event" else attribute_names
        names[row["alias"]] = row["canonical_name"]
    treatments: dict[str, Privacy] = {}
    for where, row in _rows(catalog / "attribute_privacy.csv"):
        name = attribute_names.get(row["attribute"], row["attribute"])
        treatments[name] = _privacy(row["privacy"], where)
    for name in (*USER_KEYS, *SESSION_KEYS):
        treatments[name] = Privacy.IDENTIFIER
    plan: dict[tuple[str, str], Privacy] = {}
    for where, row in _rows(declarations / "catalog" / "tracking_plan.csv"):
        if row.get("attribute"):
            event = event_names.get(row["event_name"], row["event_name"])
            name = attribute_names.get(row["attribute"], row["attribute"])
            plan[event, name] = _privacy(row.get("privacy") or "none", where)
    return PrivacyPolicy(treatments, plan, attribute_names, event_names)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in (reader := csv.DictReader(file)):
                yield f"{path}, line {reader.line_num}", row
    except FileNotFoundError as error:
        raise IngestError(
            f"{path} is missing: without it ingest cannot tell private attributes from others; "
            "point ATTUNE_DECLARATIONS to a folder made by `attune init`"
        ) from error


def _privacy(text: str, where: str) -> Privacy:
    try:
        return Privacy[text.strip().upper()]
    except KeyError as error:
        allowed = ", ".join(member.name.lower() for member in Privacy)
        raise IngestError(f"{where}: privacy must be one of {allowed}") from error
