with

matches as (
    select * from {{ ref('int_exclusions_matched') }}
),

identities as (
    select * from {{ ref('int_identities_linked') }}
)

select
    coalesce(identities.user_id, matches.pseudonym) as unit_id,
    min(matches.rule_name) as rule_name
from matches
left join identities
    on matches.pseudonym = identities.pseudonym
group by coalesce(identities.user_id, matches.pseudonym)
