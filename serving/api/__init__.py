"""The read API: what is served of a user, decisions, flags, and the user's own controls, over HTTP.

Knows the cache and nothing of Dagster, dbt or ingest: whoever starts it passes what turns a raw id
into pseudonyms, and what makes a line of telemetry durable (`serving.api.settings.Ports`).
"""
