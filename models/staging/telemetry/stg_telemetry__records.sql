{%- set event_aliases = attribute_aliases('event') %}
{%- set field_aliases = attribute_aliases('field') %}
{%- set aliases = attribute_aliases('attribute') %}
{%- set common %}
        event_id,
        cast(occurred_at as timestamp) as occurred_at,
        cast(observed_at as timestamp) as observed_at,
        cast(event_date as date) as event_date,
        coalesce(user_links.stable_pseudonym, user_id) as user_id,
        coalesce(session_links.stable_pseudonym, session_id) as session_id,
        span_id,
        service_name,
        service_version,
        environment,
        attributes,
        attribute_types,
        batch_id,
        line_number,
        record_number,
        nullif(attributes['organization.id'], '') as organization_id
{%- endset %}
{#- a user whom a newer key gave another pseudonym stays the same user -#}
{%- set linked %}
    left join pseudonym_links as user_links
        on user_id = user_links.pseudonym
    left join pseudonym_links as session_links
        on session_id = session_links.pseudonym
{%- endset %}
with

log_records as (
    select * from {{ source('lake', 'log_records') }}
),

spans as (
    select * from {{ source('lake', 'spans') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

pseudonym_links as (
    select * from {{ ref('stg_telemetry__pseudonym_links') }}
),

-- a batch exists from its commit mark on: half a load is never seen
named_log_records as (
    select
        log_records.*,
        log_records.event_name as emitted_name,
        {{ canonical_event_name(event_aliases, 'log_records.event_name') }} as canonical_name
    from log_records
    where log_records.batch_id in (select batches.batch_id from batches)
),

renamed_log_records as (
    select
        {{- common }},
        -- without a trace, what the emitter ties the events of a turn together with
        coalesce(
            trace_id
            {%- for alias in field_aliases.get('trace_id', []) %},
            case
                when
                    canonical_name in (
                        {%- for event in alias.on_events %}
                        '{{ event }}'{{ ',' if not loop.last }}
                        {%- endfor %}
                    )
                    then nullif(attributes['{{ alias.name }}'], '')
            end
            {%- endfor %}
        ) as trace_id,
        canonical_name as event_name,
        emitted_name,
        event_number,
        concat(
            substr(batch_id, 1, 16), '/', line_number, '/', record_number, '/',
            coalesce(cast(event_number as string), 'log')
        ) as record_key,
        case when is_span_event then 'span_event' else 'log' end as record_kind,
        has_record_uid,
        cast(null as string) as parent_span_id,
        cast(null as string) as span_name,
        cast(null as double) as duration_ms,
        cast(null as string) as status
    from named_log_records
    {{- linked }}
),

renamed_spans as (
    select
        {{- common }},
        trace_id,
        coalesce('gen_ai.' || {{ attribute(aliases, 'gen_ai.operation.name') }}, 'span')
            as event_name,
        cast(null as string) as emitted_name,
        cast(null as bigint) as event_number,
        concat(substr(batch_id, 1, 16), '/', line_number, '/', record_number, '/span') as record_key,
        'span' as record_kind,
        false as has_record_uid,
        parent_span_id,
        span_name,
        duration_ms,
        status
    from spans
    {{- linked }}
    where batch_id in (select batches.batch_id from batches)
),

renamed as (
    select * from renamed_log_records
    union all
    select * from renamed_spans
)

select
    renamed.*,
    {{ part_of('event_date', 'event_id') }} as event_part,
    {{ part_of('event_date', "coalesce(user_id, session_id, trace_id, '')") }} as unit_part
from renamed
