{#- The typed columns of the lake, kept by batch: a load adds its own rows, and nothing else of the lake
    is read again. The checksum stands for what a record says where versions are made from rows. -#}
{{ overwrite_by('int_batch_versions', 'batch_id', ['attribute_aliases']) }}
{%- set touched = is_touched('batch_id') %}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ touched }}
),

pseudonym_links as (
    select * from {{ ref('stg_telemetry__pseudonym_links') }}
),

suggestions as (
    select * from {{ ref('stg_telemetry__suggestions') }}
    where {{ touched }}
),

read as (
    select
        records.record_key,
        records.event_id,
        records.has_record_uid,
        records.record_kind,
        records.event_name,
        records.event_date,
        records.event_part,
        records.unit_part,
        records.occurred_at,
        records.observed_at,
        records.user_id as pseudonym,
        records.session_id,
        coalesce(pseudonym_links.stable_pseudonym, records.organization_id) as organization_id,
        records.trace_id,
        records.span_id,
        records.service_name,
        records.service_version,
        records.environment,
        records.batch_id,
        records.line_number,
        suggestions.suggestion_id,
        -- other ids are digests of what the record says
        case
            when records.has_record_uid or records.record_kind = 'span_event'
                then md5({{ map_text('records.attributes') }})
        end as payload
    from records
    left join suggestions
        on records.record_key = suggestions.record_key
    left join pseudonym_links
        on records.organization_id = pseudonym_links.pseudonym
)

select
    read.*,
    {{ row_checksum(
        "concat_ws('|', record_key, event_name, coalesce(pseudonym, ''), coalesce(session_id, ''),"
        ~ " coalesce(organization_id, ''), coalesce(trace_id, ''), coalesce(suggestion_id, ''))"
    ) }} as checksum
from read
-- what a day replaces then lies in one place
order by event_date
