"""How a dbt node looks in Dagster: group from its folder; owner, description and checks from dbt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

from orchestration.lib.manifest import group_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import dagster as dg
    from dagster_dbt import DbtProject


class FolderTranslator(DagsterDbtTranslator):
    """dagster-dbt's own translation, grouped by folder instead of by dbt group."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True))

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """Return the asset of a dbt node."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        return spec.replace_attributes(
            group_name=group_of(self.get_resource_props(manifest, unique_id))
        )
