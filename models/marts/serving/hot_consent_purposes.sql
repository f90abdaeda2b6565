{{ config(meta={'serving': {
    'key_columns': ['purpose'], 'payload': 'payload', 'row_hash': 'row_hash',
    'max_age_hours': 26
}}) }}
with

purposes as (
    select * from {{ ref('stg_declarations__consent_purposes') }}
),

described as (
    select
        purpose,
        {{ json_text(struct_of({
            'purpose': 'purpose',
            'description': 'description',
            'granted_by_default': 'granted_by_default',
        })) }} as payload
    from purposes
)

select
    purpose,
    payload,
    md5(payload) as content_hash,
    {{ row_checksum("concat_ws(chr(31), purpose, md5(payload))") }} as row_hash
from described
