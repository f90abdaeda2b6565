-- Fails if the experiments of a layer assign different units: nobody could say whether they overlap.
with

experiments as (
    {{ declared('experiments', {
        'experiment_name': ['string'], 'unit': ['string', "'user'"], 'layer': ['string'],
    }) }}
)

select
    'experiments/experiments.csv' as declared_in,
    concat('layer ', layer) as declared_row,
    concat('its experiments assign ', min(unit), ' and ', max(unit), '; use one unit per layer')
        as problem
from experiments
where layer is not null
group by layer
having min(unit) != max(unit)
