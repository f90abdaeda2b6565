-- Fails if an experiment's control is none of its variants.
with

experiments as (
    {{ declared('experiments', {
        'experiment_name': ['string'], 'control_variant': ['string', "'control'"],
    }) }}
),

variants as (
    {{ declared('experiment_variants', {'experiment_name': ['string'], 'variant': ['string']}) }}
)

select
    'experiments/experiments.csv' as declared_in,
    concat('experiment_name ', experiments.experiment_name) as declared_row,
    concat(
        'its control_variant ', experiments.control_variant,
        ' is no variant of it in experiments/experiment_variants.csv'
    ) as problem
from experiments
left join variants
    on
        experiments.experiment_name = variants.experiment_name
        and experiments.control_variant = variants.variant
where variants.variant is null
