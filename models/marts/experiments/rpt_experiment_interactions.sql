{#- All pairs of concurrent experiments: whether one treatment's effect differs with the other's
    variant (difference of differences over the four cells), and whether assignments are independent
    (Pearson 1900), with the false discovery rate held over the whole screening. -#}
with

moments as (
    select * from {{ ref('int_experiment_pair_moments') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

states as (
    select * from {{ ref('int_experiment_states') }}
),

centred as (
    select
        moments.*,
        numerator_total / units as numerator_mean,
        denominator_total / units as denominator_mean,
        {{ sample_covariance('', 'numerator', 'numerator') }} as numerator_variance,
        {{ sample_covariance('', 'numerator', 'denominator') }} as covariance,
        {{ sample_covariance('', 'denominator', 'denominator') }} as denominator_variance
    from moments
),

valued as (
    select
        centred.*,
        numerator_mean / nullif(denominator_mean, 0e0) as value
    from centred
),

spread as (
    select
        valued.*,
        {{ linearised_variance(
            'value', 'numerator_variance', 'covariance', 'denominator_variance'
        ) }} as linearised_variance,
        numerator_variance + 2e0 * abs(value * covariance) + value * value * denominator_variance
            as terms
    from valued
),

-- terms that cancel leave rounding, which depends on the order of the rows
cells as (
    select
        spread.*,
        case when linearised_variance <= 1e-12 * terms then 0e0 else linearised_variance end
        / nullif(denominator_mean * denominator_mean, 0e0) / units as value_variance
    from spread
),

fours as (
    select
        treated.experiment_name,
        treated.metric_name,
        treated.variant as treatment_variant,
        treated.other_experiment_name,
        treated.other_variant as other_treatment_variant,
        experiments.alpha
        {%- for cell in ['treated', 'alone', 'other', 'neither'] %},
        {{ cell }}.units as {{ cell }}_units,
        cast({{ cell }}.units as double) as {{ cell }}_count,
        {{ cell }}.value as {{ cell }}_value,
        {{ cell }}.value_variance as {{ cell }}_variance
        {%- endfor %}
    from cells as treated
    inner join experiments
        on
            treated.experiment_name = experiments.experiment_name
            and treated.variant != experiments.control_variant
            and treated.other_variant != treated.other_control_variant
    {%- for cell, is_treated, is_other in [
        ('alone', true, false), ('other', false, true), ('neither', false, false)
    ] %}
    inner join cells as {{ cell }}
        on
            treated.experiment_name = {{ cell }}.experiment_name
            and treated.metric_name = {{ cell }}.metric_name
            and treated.other_experiment_name = {{ cell }}.other_experiment_name
            and {{ cell }}.variant
            = {{ 'treated.variant' if is_treated else 'experiments.control_variant' }}
            and {{ cell }}.other_variant
            = {{ 'treated.other_variant' if is_other else 'treated.other_control_variant' }}
    {%- endfor %}
),

differences as (
    select
        fours.*,
        treated_value - alone_value - other_value + neither_value as interaction_effect,
        least(treated_units, alone_units, other_units, neither_units) as smallest_units,
        sqrt(
            nullif(treated_variance + alone_variance + other_variance + neither_variance, 0e0)
        ) as std_error,
        (treated_count + alone_count + other_count + neither_count)
        * (treated_count * neither_count - alone_count * other_count)
        * (treated_count * neither_count - alone_count * other_count)
        / nullif(
            (treated_count + alone_count) * (other_count + neither_count)
            * (treated_count + other_count) * (alone_count + neither_count), 0e0
        ) as dependence_statistic,
        1e0 as dependence_freedom
    from fours
),

scored as (
    select
        differences.*,
        case
            when std_error > 0e0 and smallest_units >= {{ var('pooled_units_minimum') }}
                then abs(interaction_effect) / std_error
        end as z_statistic
    from differences
),

tested as (
    select
        scored.*,
        2e0 * {{ normal_tail('z_statistic') }} as p_value
    from scored
),

{{ chi_square_tail(
    'tested', 'dependence_statistic', 'dependence_freedom', output='dependence_p_value',
    name='dependence'
) }},

ranked as (
    select
        dependence.*,
        count(p_value) over () as family_size,
        row_number() over (
            partition by p_value is null
            order by
                p_value, experiment_name, metric_name, treatment_variant, other_experiment_name,
                other_treatment_variant
        ) as rank_in_family
    from dependence
),

adjusted as (
    select
        ranked.*,
        case
            when p_value is not null
                then least(
                    min(family_size * p_value / rank_in_family) over (
                        partition by p_value is null
                        order by rank_in_family
                        rows between current row and unbounded following
                    ),
                    1e0
                )
        end as p_value_adjusted
    from ranked
)

select
    adjusted.experiment_name,
    adjusted.metric_name,
    adjusted.treatment_variant,
    adjusted.other_experiment_name,
    adjusted.other_treatment_variant,
    adjusted.treated_units,
    adjusted.alone_units,
    adjusted.other_units,
    adjusted.neither_units,
    adjusted.interaction_effect,
    adjusted.std_error,
    adjusted.p_value,
    adjusted.p_value_adjusted,
    -- a test for one look, whatever the experiment's inference
    case
        when adjusted.p_value_adjusted is not null
            then states.is_complete and adjusted.p_value_adjusted <= adjusted.alpha
    end as is_interaction,
    adjusted.dependence_statistic,
    adjusted.dependence_p_value,
    case
        when adjusted.smallest_units < 2 then 'one_unit'
        when adjusted.smallest_units < {{ var('pooled_units_minimum') }} then 'too_few_units'
        when adjusted.p_value is null then 'zero_variance'
        else 'ok'
    end as status
from adjusted
inner join states
    on adjusted.experiment_name = states.experiment_name
