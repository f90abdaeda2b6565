{{ config(meta={'serving': {
    'key_columns': ['experiment_name'], 'payload': 'payload', 'row_hash': 'row_hash',
    'max_age_hours': 26
}}) }}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

states as (
    select * from {{ ref('int_experiment_states') }}
),

decisions as (
    select * from {{ ref('rpt_experiment_decisions') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

variant_lists as (
    select
        experiment_name,
        {{ sorted_list(struct_of({'variant': 'variant', 'allocation': 'allocation'})) }} as variants
    from variants
    group by experiment_name
),

decision_lists as (
    select
        experiment_name,
        {{ sorted_list(struct_of({'variant': 'treatment_variant', 'decision': 'decision'})) }}
            as decisions
    from decisions
    group by experiment_name
),

described as (
    select
        experiments.experiment_name,
        {{ json_text(struct_of({
            'experiment_name': 'experiments.experiment_name',
            'unit': 'experiments.unit',
            'started_at': utc_text('experiments.started_at'),
            'ended_at': utc_text('experiments.ended_at'),
            'state': "case
                when experiments.started_at > as_of.as_of then 'planned'
                when experiments.ended_at <= as_of.as_of then 'ended'
                else 'running'
            end",
            'control_variant': 'experiments.control_variant',
            'variants': 'variant_lists.variants',
            'layer': 'experiments.layer',
            'holdout_share': 'experiments.holdout_share',
            'decisions': 'decision_lists.decisions',
            'is_healthy': '(not states.has_failed_check)',
        })) }} as payload
    from experiments
    cross join as_of
    inner join states
        on experiments.experiment_name = states.experiment_name
    left join variant_lists
        on experiments.experiment_name = variant_lists.experiment_name
    left join decision_lists
        on experiments.experiment_name = decision_lists.experiment_name
)

select
    experiment_name,
    payload,
    md5(payload) as content_hash,
    {{ row_checksum("concat_ws(chr(31), experiment_name, md5(payload))") }} as row_hash
from described
