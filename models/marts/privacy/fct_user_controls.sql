with

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where
        pseudonym is not null
        and event_name in ('user.preference.set', 'user.preference.cleared', 'user.consent.changed')
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

erasures as (
    select * from {{ ref('int_erasures_requested') }}
),

preference_controls as (
    select * from {{ ref('stg_telemetry__preference_controls') }}
),

consents as (
    select * from {{ ref('stg_telemetry__consents') }}
),

identified as (
    select
        records.*,
        coalesce(identities.user_id, records.pseudonym) as user_id
    from records
    left join identities
        on records.pseudonym = identities.pseudonym
)

select
    identified.event_id,
    identified.user_id,
    case identified.event_name
        when 'user.preference.set' then 'preference_set'
        when 'user.preference.cleared' then 'preference_cleared'
        else 'consent_changed'
    end as control_kind,
    preference_controls.dimension,
    preference_controls.context,
    consents.purpose,
    case
        when consents.is_granted then 'granted'
        when not consents.is_granted then 'withdrawn'
        else preference_controls.value
    end as value,
    identified.occurred_at
from identified
left join erasures
    on identified.user_id = erasures.user_id
left join preference_controls
    on identified.record_key = preference_controls.record_key
left join consents
    on identified.record_key = consents.record_key
-- what was said up to an erasure is forgotten
where erasures.user_id is null or identified.occurred_at > erasures.erased_until
