{#- Where the outcomes lie in what was predicted: the beta-binomial distribution function, between its
    steps at a place that a hash picks, is uniform where the prediction is right. -#}
with

predictions as (
    select * from {{ ref('int_preference_predictions') }}
    where is_binary and signal_count > 0
),

digests as (
    select
        predictions.*,
        md5(concat_ws('|', user_id, dimension, context, value)) as digest
    from predictions
),

parameters as (
    select
        user_id,
        dimension,
        context,
        value,
        cast(signal_count as double) as n,
        cast(favourable_count as double) as k,
        alpha,
        beta,
        signal_count + 1e0 as n_and_1,
        signal_count + alpha + beta as n_and_both,
        alpha + beta as both_shapes,
        {{ hash_share('digest') }} as place
    from digests
),

scaled as (
    select
        parameters.*,
        {{ log_gamma('n_and_1') }} - {{ log_gamma('n_and_both') }} + {{ log_gamma('both_shapes') }}
        - {{ log_gamma('alpha') }} - {{ log_gamma('beta') }} as log_scale,
        {{ number_series('k') }} as j
    from parameters
),

arguments as (
    select
        scaled.*,
        j + 1e0 as j_and_1,
        n - j + 1e0 as rest_and_1,
        j + alpha as j_and_alpha,
        n - j + beta as rest_and_beta
    from scaled
),

probabilities as (
    select
        arguments.*,
        exp(
            log_scale - {{ log_gamma('j_and_1') }} - {{ log_gamma('rest_and_1') }}
            + {{ log_gamma('j_and_alpha') }} + {{ log_gamma('rest_and_beta') }}
        ) as probability
    from arguments
)

select
    user_id,
    dimension,
    context,
    value,
    max(n) as signal_count,
    {{ exact_sum('case when j < k then probability else place * probability end') }} as place
from probabilities
group by user_id, dimension, context, value
