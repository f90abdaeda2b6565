{{ config(meta={'serving': {
    'key_columns': ['dimension'], 'payload': 'payload', 'row_hash': 'row_hash',
    'max_age_hours': 26
}}) }}
with

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

preference_values as (
    select * from {{ ref('stg_declarations__preference_values') }}
),

value_lists as (
    select
        dimension,
        {{ sorted_list(struct_of({'value': 'value', 'label': 'label'})) }} as value_list
    from preference_values
    group by dimension
),

described as (
    select
        dimensions.dimension,
        {{ json_text(struct_of({
            'dimension': 'dimensions.dimension',
            'description': 'dimensions.description',
            'default_value': 'dimensions.default_value',
            'values': 'value_lists.value_list',
            'context_attributes': 'dimensions.context_attributes',
            'is_user_controllable': 'dimensions.is_user_controllable',
        })) }} as payload
    from dimensions
    left join value_lists
        on dimensions.dimension = value_lists.dimension
)

select
    dimension,
    payload,
    md5(payload) as content_hash,
    {{ row_checksum("concat_ws(chr(31), dimension, md5(payload))") }} as row_hash
from described
