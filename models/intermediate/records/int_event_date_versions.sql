with

load_versions as (
    select * from {{ ref('int_load_date_versions') }}
),

records as (
    select * from {{ ref('int_records_deduplicated') }}
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

consents as (
    select * from {{ ref('int_consents_effective') }}
),

erasures as (
    select * from {{ ref('int_erasures_requested') }}
),

declaration_versions as (
    select * from {{ ref('int_declaration_versions') }}
),

linked_dates as (
    select * from {{ ref('int_linked_dates') }}
),

pseudonym_days as (
    select distinct
        event_date,
        pseudonym
    from records
    where pseudonym is not null
),

user_days as (
    select
        pseudonym_days.event_date,
        pseudonym_days.pseudonym,
        coalesce(identities.user_id, pseudonym_days.pseudonym) as user_id
    from pseudonym_days
    left join identities
        on pseudonym_days.pseudonym = identities.pseudonym
),

-- What was said later must not touch earlier dates: a consent counts as it stood on the day.
consent_parts as (
    select
        user_days.event_date,
        concat(
            user_days.user_id, ':', consents.purpose, ':', consents.is_granted, ':',
            case
                when consents.valid_from > cast(user_days.event_date as timestamp)
                    then cast(consents.valid_from as string)
                else ''
            end
        ) as part
    from user_days
    inner join consents
        on
            user_days.user_id = consents.user_id
            and cast(consents.valid_from as date) <= user_days.event_date
            and coalesce(consents.valid_to, {{ end_of_time() }})
            > cast(user_days.event_date as timestamp)
),

parts as (
    select
        event_date,
        concat('load:', version) as part
    from load_versions
    union all
    -- what facts are made with reaches whatever is made from them
    select
        load_versions.event_date,
        concat(declaration_versions.declaration, ':', declaration_versions.version) as part
    from load_versions
    cross join declaration_versions
    where declaration_versions.declaration in ('consent_purposes', 'model_prices')
    union all
    select
        event_date,
        concat('identity:', pseudonym, ':', user_id) as part
    from user_days
    where pseudonym != user_id
    union all
    select
        event_date,
        concat('consent:', part) as part
    from consent_parts
    union all
    select
        user_days.event_date,
        concat('erasure:', user_days.user_id, ':', erasures.erased_until) as part
    from user_days
    inner join erasures
        on user_days.user_id = erasures.user_id
),

own_versions as (
    select
        event_date,
        {{ sorted_digest('part') }} as version
    from parts
    group by event_date
),

linked_parts as (
    select
        event_date,
        concat('own:', version) as part
    from own_versions
    union all
    select
        linked_dates.event_date,
        concat(linked_dates.linked_date, ':', own_versions.version) as part
    from linked_dates
    inner join own_versions
        on linked_dates.linked_date = own_versions.event_date
)

select
    event_date,
    {{ sorted_digest('part') }} as version
from linked_parts
group by event_date
