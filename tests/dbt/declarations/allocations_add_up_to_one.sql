-- Fails if the shares of an experiment's variants do not add up to 1.
with

variants as (
    {{ declared('experiment_variants', {
        'experiment_name': ['string'], 'allocation': ['double', '0e0'],
    }) }}
)

select
    'experiments/experiment_variants.csv' as declared_in,
    concat('experiment_name ', experiment_name) as declared_row,
    concat('its allocations add up to ', cast(round(sum(allocation), 6) as string), ', not to 1')
        as problem
from variants
group by experiment_name
having abs(sum(allocation) - 1e0) > 1e-6
