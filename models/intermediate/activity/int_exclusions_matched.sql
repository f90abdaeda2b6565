{{ overwrite_by('int_batch_versions', 'batch_id', ['excluded_units']) }}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('batch_id') }} and coalesce(user_id, session_id) is not null
),

rules as (
    select * from {{ ref('stg_declarations__excluded_units') }}
)

select distinct
    records.batch_id,
    coalesce(records.user_id, records.session_id) as pseudonym,
    rules.rule_name
from records
inner join rules
    on {{ matches("coalesce(records.attributes[rules.attribute], '')", 'rules.pattern') }}
