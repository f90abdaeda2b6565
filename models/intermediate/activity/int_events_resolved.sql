{{ overwrite_by('int_unit_part_versions', 'unit_part', ['consent_purposes']) }}
with

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where {{ is_touched('unit_part') }}
),

twins as (
    select * from {{ ref('int_twins_paired') }}
    where {{ is_touched('unit_part') }}
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

erasures as (
    select * from {{ ref('int_erasures_requested') }}
),

consents as (
    select * from {{ ref('int_consents_effective') }}
),

purposes as (
    select * from {{ ref('stg_declarations__consent_purposes') }}
),

-- a purpose that is not declared is granted to nobody
defaults as (
    select
        coalesce(max(case when purpose = 'operations' then granted_by_default end), false)
            as operations_default,
        coalesce(max(case when purpose = 'measurement' then granted_by_default end), false)
            as measurement_default,
        coalesce(max(case when purpose = 'personalization' then granted_by_default end), false)
            as personalization_default
    from purposes
),

identified as (
    select
        records.*,
        coalesce(identities.user_id, records.pseudonym) as user_id
    from records
    left join identities
        on records.pseudonym = identities.pseudonym
    left join twins
        on records.record_key = twins.record_key
    -- what an emitter says twice, under two names, happened once
    where twins.record_key is null
),

not_erased as (
    select identified.*
    from identified
    left join erasures
        on identified.user_id = erasures.user_id
    where erasures.user_id is null or identified.occurred_at > erasures.erased_until
),

resolved as (
    select
        not_erased.record_key,
        not_erased.event_id,
        not_erased.record_kind,
        not_erased.event_name,
        not_erased.event_date,
        not_erased.unit_part,
        not_erased.occurred_at,
        not_erased.pseudonym,
        not_erased.user_id,
        not_erased.session_id,
        not_erased.organization_id,
        coalesce(not_erased.user_id, not_erased.session_id) as unit_id,
        not_erased.trace_id,
        not_erased.span_id,
        not_erased.suggestion_id,
        not_erased.service_name,
        not_erased.service_version,
        not_erased.environment,
        not_erased.batch_id,
        not_erased.line_number
        {%- for purpose in ['operations', 'measurement', 'personalization'] %},
            coalesce({{ purpose }}_consents.is_granted, defaults.{{ purpose }}_default)
                as has_{{ purpose }}_consent
        {%- endfor %}
    from not_erased
    cross join defaults
    {%- for purpose in ['operations', 'measurement', 'personalization'] %}
        left join consents as {{ purpose }}_consents
            on
                not_erased.user_id = {{ purpose }}_consents.user_id
                and {{ purpose }}_consents.purpose = '{{ purpose }}'
                and not_erased.occurred_at >= {{ purpose }}_consents.valid_from
                and not_erased.occurred_at
                < coalesce({{ purpose }}_consents.valid_to, {{ end_of_time() }})
    {%- endfor %}
)

select * from resolved
-- what a day replaces then lies in one place
order by event_date
