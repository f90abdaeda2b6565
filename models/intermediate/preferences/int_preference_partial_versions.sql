with

signals as (
    select * from {{ ref('int_preference_signals') }}
),

controls as (
    select * from {{ ref('int_preference_controls') }}
    where is_reset
),

signal_sums as (
    select
        user_part,
        {{ sum_of_checksums('checksum') }} as checksums
    from signals
    group by user_part
),

reset_sums as (
    select
        {{ part_of('event_date', 'user_id') }} as user_part,
        {{ sum_of_checksums(
            row_checksum("concat_ws('|', event_id, user_id, dimension, occurred_at)")
        ) }} as checksums
    from controls
    group by {{ part_of('event_date', 'user_id') }}
)

select
    signal_sums.user_part,
    concat_ws('|', signal_sums.checksums, coalesce(reset_sums.checksums, '')) as version
from signal_sums
left join reset_sums
    on signal_sums.user_part = reset_sums.user_part
