-- Fails if the consent purposes lack one that models ask for.
with

purposes as (
    {{ declared('consent_purposes', {'purpose': ['string']}) }}
),

built_in as (
    select 'operations' as purpose
    union all
    select 'measurement' as purpose
    union all
    select 'personalization' as purpose
)

select
    'catalog/consent_purposes.csv' as declared_in,
    concat('purpose ', built_in.purpose) as declared_row,
    'the row is missing: say what holds where a user has said nothing' as problem
from built_in
left join purposes
    on built_in.purpose = purposes.purpose
where purposes.purpose is null
