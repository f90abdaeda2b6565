-- Fails if a dimension's default is none of its values.
with

dimensions as (
    {{ declared('preference_dimensions', {
        'dimension': ['string'], 'default_value': ['string', "''"],
    }) }}
),

preference_values as (
    {{ declared('preference_values', {'dimension': ['string'], 'value': ['string']}) }}
)

select
    'preferences/preference_dimensions.csv' as declared_in,
    concat('dimension ', dimensions.dimension) as declared_row,
    concat(
        'its default_value ', dimensions.default_value,
        ' is no value of it in preferences/preference_values.csv'
    ) as problem
from dimensions
left join preference_values
    on
        dimensions.dimension = preference_values.dimension
        and dimensions.default_value = preference_values.value
where preference_values.value is null
