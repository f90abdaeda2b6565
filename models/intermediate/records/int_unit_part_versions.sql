with

record_versions as (
    select * from {{ ref('int_record_part_versions') }}
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

pseudonyms as (
    select
        pseudonym,
        user_id
    from identities
    union
    select
        user_id as pseudonym,
        user_id
    from consents
    union
    select
        user_id as pseudonym,
        user_id
    from erasures
),

-- What is said about a user is felt in every part of the user's bucket: consent from the day that it
-- is said for, the rest on all days.
statements as (
    select
        pseudonym,
        date '1970-01-01' as event_date,
        concat_ws('|', 'identity', pseudonym, user_id) as statement
    from identities
    union all
    select
        pseudonyms.pseudonym,
        date '1970-01-01' as event_date,
        concat_ws('|', 'erasure', pseudonyms.pseudonym, erasures.erased_until) as statement
    from pseudonyms
    inner join erasures
        on pseudonyms.user_id = erasures.user_id
    union all
    select
        pseudonyms.pseudonym,
        cast(consents.valid_from as date) as event_date,
        concat_ws(
            '|', 'consent', pseudonyms.pseudonym, consents.purpose, consents.is_granted,
            consents.valid_from
        ) as statement
    from pseudonyms
    inner join consents
        on pseudonyms.user_id = consents.user_id
),

statement_sums as (
    select
        {{ bucket_of('pseudonym') }} as bucket,
        event_date,
        sum(cast({{ row_checksum('statement') }} as decimal(38, 0))) as checksums
    from statements
    group by {{ bucket_of('pseudonym') }}, event_date
    union all
    select
        {{ bucket_in('unit_part') }} as bucket,
        event_date,
        cast(0 as decimal(38, 0)) as checksums
    from record_versions
),

sums_until as (
    select
        bucket,
        event_date,
        sum(sum(checksums)) over (
            partition by bucket
            order by event_date
            rows between unbounded preceding and current row
        ) as checksums
    from statement_sums
    group by bucket, event_date
)

select
    record_versions.event_date,
    record_versions.unit_part,
    concat_ws('|', record_versions.version, sums_until.checksums) as version
from record_versions
inner join sums_until
    on
        {{ bucket_in('record_versions.unit_part') }} = sums_until.bucket
        and record_versions.event_date = sums_until.event_date
