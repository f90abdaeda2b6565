{{ config(meta={'serving': {
    'key_columns': ['decision_point'], 'payload': 'payload', 'row_hash': 'row_hash',
    'max_age_hours': 26
}}) }}
with

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

context_bins as (
    select * from {{ ref('stg_declarations__context_bins') }}
),

matched_bins as (
    select
        decision_points.decision_point,
        context_bins.attribute,
        context_bins.bin,
        context_bins.lower,
        context_bins.upper
    from decision_points
    inner join context_bins
        on concat(';', replace(decision_points.context_attribute, ' ', ''), ';')
            like concat('%;', context_bins.attribute, ';%')
),

bin_lists as (
    select
        decision_point,
        {{ sorted_list(struct_of({
            'attribute': 'attribute', 'bin': 'bin', 'lower': 'lower', 'upper': 'upper'
        })) }} as bins
    from matched_bins
    group by decision_point
),

described as (
    select
        decision_points.decision_point,
        {{ json_text(struct_of({
            'decision_point': 'decision_points.decision_point',
            'context_attributes': 'decision_points.context_attribute',
            'bins': 'bin_lists.bins',
        })) }} as payload
    from decision_points
    left join bin_lists
        on decision_points.decision_point = bin_lists.decision_point
)

select
    decision_point,
    payload,
    md5(payload) as content_hash,
    {{ row_checksum("concat_ws(chr(31), decision_point, md5(payload))") }} as row_hash
from described
