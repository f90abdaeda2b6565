{#- What each file says against the tracking plan, one row per date, file, event, attribute and
    finding. Attribute is null where the finding concerns the whole record. -#}
{{ overwrite_by('int_load_date_versions', 'event_date', ['tracking_plan']) }}
with

survivors as (
    select * from {{ ref('int_records_deduplicated') }}
    where {{ is_touched('event_date') }}
),

all_records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('event_date') }}
),

twins as (
    select * from {{ ref('int_twins_paired') }}
    where {{ is_touched('event_date') }}
),

plan as (
    select * from {{ ref('stg_declarations__tracking_plan') }}
),

aliases as (
    select * from {{ ref('stg_declarations__attribute_aliases') }}
    where kind = 'attribute'
),

-- a row for event '*' declares an attribute of any event
declared_events as (
    select distinct event_name
    from plan
    where event_name != '*'
),

records as (
    select all_records.*
    from all_records
    inner join survivors
        on all_records.record_key = survivors.record_key
),

emitted as (
    {{ exploded_attributes(
        'records', ['record_key', 'event_date', 'batch_id', 'event_name', 'attribute_types']
    ) }}
),

-- an alias holds on the events that it names, or on all
aliases_by_event as (
    select
        names.event_name,
        aliases.alias,
        aliases.canonical_name
    from (select distinct records.event_name from records) as names
    inner join aliases
        on
            aliases.on_events is null
            or concat(';', aliases.on_events, ';') like concat('%;', names.event_name, ';%')
),

-- an attribute counts under its canonical name, whatever its emitter calls it
attributes as (
    select
        emitted.record_key,
        emitted.event_date,
        emitted.batch_id,
        emitted.event_name,
        emitted.value,
        emitted.attribute_types[emitted.attribute] as value_type,
        coalesce(aliases_by_event.canonical_name, emitted.attribute) as attribute
    from emitted
    left join aliases_by_event
        on
            emitted.event_name = aliases_by_event.event_name
            and emitted.attribute = aliases_by_event.alias
),

typed as (
    select
        attributes.event_date,
        attributes.batch_id,
        attributes.event_name,
        attributes.attribute,
        attributes.value,
        attributes.value_type,
        coalesce(plan.data_type, common.data_type) as data_type,
        plan.attribute is not null or common.attribute is not null as is_declared,
        plan.attribute is null and common.attribute is not null as is_common
    from attributes
    left join plan
        on
            attributes.event_name = plan.event_name
            and attributes.attribute = plan.attribute
    left join plan as common
        on
            common.event_name = '*'
            and attributes.attribute = common.attribute
),

attribute_findings as (
    select
        event_date,
        batch_id,
        case when is_common then '*' else event_name end as event_name,
        attribute,
        case
            when not is_declared then 'undeclared'
            when value is null then 'missing'
            when data_type = 'double' and lower(value) = 'nan' then 'not_a_number'
            when data_type = 'string' and value_type is not null then 'wrong_type'
            when data_type = 'integer' and {{ try_cast_text('value', 'bigint') }} is null
                then 'wrong_type'
            when data_type = 'double' and {{ try_cast_text('value', 'double') }} is null
                then 'wrong_type'
            when data_type = 'boolean' and value not in ('true', 'false') then 'wrong_type'
            else 'as_declared'
        end as finding
    from typed
),

-- ingest puts a marker where it found what no declaration names, such as an e-mail address
redacted_findings as (
    select
        event_date,
        batch_id,
        event_name,
        attribute,
        'redacted' as finding
    from attributes
    where value like '%[redacted:%' or attribute like '[redacted:%'
),

record_findings as (
    select
        records.event_date,
        records.batch_id,
        records.event_name,
        case when declared_events.event_name is null then 'unknown_event' else 'known_event' end
            as finding
    from records
    left join declared_events
        on records.event_name = declared_events.event_name
    union all
    select
        event_date,
        batch_id,
        event_name,
        'missing_unit' as finding
    from records
    where user_id is null and session_id is null and record_kind != 'span_event'
    union all
    select
        event_date,
        batch_id,
        event_name,
        'late' as finding
    from records
    where
        {{ seconds_between('occurred_at', 'observed_at') }}
        > {{ var('late_after_days') }} * 86400
    union all
    select
        records.event_date,
        records.batch_id,
        records.event_name,
        'twin' as finding
    from records
    inner join twins
        on records.record_key = twins.record_key
),

present as (
    select distinct
        attributes.record_key,
        attributes.attribute
    from attributes
    inner join plan
        on
            attributes.event_name = plan.event_name
            and attributes.attribute = plan.attribute
            and plan.is_required
    where nullif(attributes.value, '') is not null
),

required as (
    select
        records.event_date,
        records.batch_id,
        records.event_name,
        plan.attribute,
        'missing_required' as finding
    from records
    inner join plan
        on
            records.event_name = plan.event_name
            and plan.is_required
    left join present
        on
            records.record_key = present.record_key
            and plan.attribute = present.attribute
    where present.record_key is null
),

findings as (
    select
        event_date,
        batch_id,
        event_name,
        attribute,
        finding
    from attribute_findings
    union all
    select
        event_date,
        batch_id,
        event_name,
        attribute,
        finding
    from redacted_findings
    union all
    select
        event_date,
        batch_id,
        event_name,
        cast(null as string) as attribute,
        finding
    from record_findings
    union all
    select
        event_date,
        batch_id,
        event_name,
        attribute,
        finding
    from required
)

select
    event_date,
    batch_id,
    event_name,
    attribute,
    finding,
    count(*) as record_count
from findings
group by event_date, batch_id, event_name, attribute, finding
