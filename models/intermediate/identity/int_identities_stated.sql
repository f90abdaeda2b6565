{{ overwrite_by('int_load_date_versions', 'event_date') }}
{%- set touched = is_touched('event_date') %}
with

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where event_name = 'user.identified' and {{ touched }}
),

identifications as (
    select * from {{ ref('stg_telemetry__identifications') }}
    where {{ touched }}
)

select
    identifications.event_date,
    identifications.anonymous_id as pseudonym,
    identifications.pseudonym as user_id,
    coalesce(identifications.action, 'link') as action,
    identifications.occurred_at,
    {{ order_key('identifications.occurred_at', 'identifications.event_id') }} as said_at
from records
inner join identifications
    on records.record_key = identifications.record_key
where
    identifications.anonymous_id is not null
    and identifications.pseudonym is not null
    and identifications.anonymous_id != identifications.pseudonym
