-- Fails if the probabilities of a target policy do not add up to 1 in a context and position.
with

policies as (
    select * from {{ ref('stg_declarations__target_policies') }}
)

select
    'preferences/target_policies.csv' as declared_in,
    concat_ws(', ', policy_name, decision_point, context, cast(position as string)) as declared_row,
    concat('its probabilities add up to ', cast(round(sum(probability), 6) as string), ', not to 1')
        as problem
from policies
group by policy_name, decision_point, context, position
having abs(sum(probability) - 1e0) > 1e-6
