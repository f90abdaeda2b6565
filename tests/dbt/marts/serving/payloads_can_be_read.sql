-- Fails if a payload is no JSON object with what readers look for, its hash is not that of the
-- payload, or the row's hash is not that of key and payload.
select
    'hot_user_profiles' as table_name,
    user_id as key_text
from {{ ref('hot_user_profiles') }}
where
    {{ json_value_text('payload', '$.consent') }} is null
    or content_hash != md5(payload)
    or row_hash != {{ row_checksum("concat_ws(chr(31), user_id, content_hash)") }}
union all
select
    'hot_experiments' as table_name,
    experiment_name as key_text
from {{ ref('hot_experiments') }}
where
    {{ json_value_text('payload', '$.experiment_name') }} is distinct from experiment_name
    or content_hash != md5(payload)
    or row_hash != {{ row_checksum("concat_ws(chr(31), experiment_name, content_hash)") }}
