{{ overwrite_by('int_load_date_versions', 'event_date') }}
{%- set touched = is_touched('event_date') %}
with

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where event_name = 'user.consent.changed' and pseudonym is not null and {{ touched }}
),

consents as (
    select * from {{ ref('stg_telemetry__consents') }}
    where {{ touched }}
)

select
    consents.event_date,
    records.pseudonym,
    consents.purpose,
    consents.occurred_at,
    consents.is_granted
from records
inner join consents
    on records.record_key = consents.record_key
where consents.purpose is not null and consents.is_granted is not null
