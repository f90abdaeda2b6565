{{ overwrite_by('int_load_date_versions', 'event_date') }}
{%- set touched = is_touched('event_date') %}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('event_date', linked_by='int_copied_dates') }}
),

pseudonym_links as (
    select * from {{ ref('stg_telemetry__pseudonym_links') }}
),

suggestions as (
    select * from {{ ref('stg_telemetry__suggestions') }}
    where {{ touched }}
),

touched as (
    select * from records
    where {{ touched }}
),

repeated_ids as (
    select event_id
    from touched
    group by event_id
    having count(*) > 1
    union
    -- copies under one emitter's id may lie on dates that are not touched
    select event_id
    from touched
    where has_record_uid
),

-- The copy that survives depends on what the copies say, never on which came first.
survivors as (
    select
        records.event_id,
        min_by(
            records.record_key,
            concat(
                {{ order_key('records.occurred_at', "md5(" ~ map_text('records.attributes') ~ ")") }},
                '|', coalesce(cast(records.observed_at as string), ''), '|', records.record_key
            )
        ) as record_key
    from records
    inner join repeated_ids
        on records.event_id = repeated_ids.event_id
    group by records.event_id
),

deduplicated as (
    select
        touched.record_key,
        touched.event_id,
        touched.record_kind,
        touched.event_name,
        touched.event_date,
        touched.occurred_at,
        touched.user_id as pseudonym,
        touched.session_id,
        coalesce(pseudonym_links.stable_pseudonym, touched.organization_id) as organization_id,
        touched.trace_id,
        touched.span_id,
        touched.service_name,
        touched.service_version,
        touched.environment,
        touched.batch_id,
        touched.line_number
    from touched
    left join survivors
        on touched.event_id = survivors.event_id
    left join pseudonym_links
        on touched.organization_id = pseudonym_links.pseudonym
    where
        survivors.event_id is null
        or survivors.record_key = touched.record_key
)

select
    deduplicated.*,
    suggestions.suggestion_id
from deduplicated
left join suggestions
    on deduplicated.record_key = suggestions.record_key
-- what a day replaces then lies in one place
order by deduplicated.event_date
