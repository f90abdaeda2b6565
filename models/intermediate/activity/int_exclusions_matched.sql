{{ overwrite_by('int_load_date_versions', 'event_date', ['excluded_units']) }}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('event_date') }} and coalesce(user_id, session_id) is not null
),

rules as (
    select * from {{ ref('stg_declarations__excluded_units') }}
)

select distinct
    records.event_date,
    coalesce(records.user_id, records.session_id) as pseudonym,
    rules.rule_name
from records
inner join rules
    on {{ matches("coalesce(records.attributes[rules.attribute], '')", 'rules.pattern') }}
