-- Fails if a payload is no JSON object with what readers look for, or its hash is not that of the
-- payload.
select
    'hot_user_profiles' as table_name,
    user_id as key_text
from {{ ref('hot_user_profiles') }}
where
    {{ json_value_text('payload', '$.consent') }} is null
    or content_hash != md5(payload)
union all
select
    'hot_experiments' as table_name,
    experiment_name as key_text
from {{ ref('hot_experiments') }}
where
    {{ json_value_text('payload', '$.experiment_name') }} is distinct from experiment_name
    or content_hash != md5(payload)
