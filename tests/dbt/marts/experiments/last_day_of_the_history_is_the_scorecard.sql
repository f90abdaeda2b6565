-- Fails if the last day of an effect's history is not the effect of the scorecard, to 1e-9 of its
-- standard error.
with

judged as (
    select * from {{ ref('int_experiment_adjusted') }}
    where segment_name = 'all' and adjustment in ('none', 'cuped')
),

history as (
    select
        judged.*,
        row_number() over (
            partition by experiment_name, metric_name, treatment_variant, adjustment
            order by as_of_date desc
        ) as days_from_last
    from judged
    where not is_final
),

scorecard as (
    select * from judged
    where is_final
)

select
    scorecard.experiment_name,
    scorecard.metric_name,
    scorecard.treatment_variant,
    scorecard.adjustment
from scorecard
left join history
    on
        scorecard.experiment_name = history.experiment_name
        and scorecard.metric_name = history.metric_name
        and scorecard.treatment_variant = history.treatment_variant
        and scorecard.adjustment = history.adjustment
        and history.days_from_last = 1
where
    history.status is null
    or scorecard.status != history.status
    or scorecard.control_units != history.control_units
    or scorecard.treatment_units != history.treatment_units
    or abs(scorecard.absolute_effect - history.absolute_effect)
    > 1e-9 * scorecard.absolute_std_error
    or abs(scorecard.absolute_std_error - history.absolute_std_error)
    > 1e-9 * scorecard.absolute_std_error
