{% macro rows_without_consent(relation, purpose) -%}
    {#- Asks what users said as of each row, straight from their statements: models that decide about
        consent (int_consents_effective, int_events_resolved) are what is tested and take no part.
        What was said up to an erasure is forgotten; of two statements at one instant the withdrawal
        holds. -#}
with

tested as (
    select
        event_id,
        user_id,
        occurred_at
    from {{ relation }}
),

statements as (
    select
        coalesce(identities.user_id, consents.pseudonym) as user_id,
        consents.occurred_at as said_at,
        consents.is_granted
    from {{ ref('stg_telemetry__consents') }} as consents
    -- of the copies of one statement the surviving one speaks
    inner join {{ ref('int_records_deduplicated') }} as survivors
        on consents.record_key = survivors.record_key
    left join {{ ref('int_identities_linked') }} as identities
        on consents.pseudonym = identities.pseudonym
    left join {{ ref('int_erasures_requested') }} as erasures
        on coalesce(identities.user_id, consents.pseudonym) = erasures.user_id
    where
        consents.purpose = '{{ purpose }}'
        and consents.is_granted is not null
        and (erasures.user_id is null or consents.occurred_at > erasures.erased_until)
),

last_said as (
    select
        tested.event_id,
        max(statements.said_at) as said_at
    from tested
    inner join statements
        on
            tested.user_id = statements.user_id
            and tested.occurred_at >= statements.said_at
    group by tested.event_id
),

answers as (
    select
        last_said.event_id,
        min(case when statements.is_granted then 1 else 0 end) = 1 as is_granted
    from last_said
    inner join tested
        on last_said.event_id = tested.event_id
    inner join statements
        on
            tested.user_id = statements.user_id
            and last_said.said_at = statements.said_at
    group by last_said.event_id
),

default_answer as (
    select coalesce(max(case when granted_by_default then 1 else 0 end), 0) = 1 as is_granted
    from {{ ref('stg_declarations__consent_purposes') }}
    where purpose = '{{ purpose }}'
)

select distinct
    tested.event_id,
    tested.user_id,
    tested.occurred_at
from tested
cross join default_answer
left join answers
    on tested.event_id = answers.event_id
where not coalesce(answers.is_granted, default_answer.is_granted)
{%- endmacro %}
