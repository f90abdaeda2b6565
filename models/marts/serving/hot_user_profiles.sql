{{ config(meta={'serving': {
    'key_columns': ['user_id'], 'payload': 'payload', 'row_hash': 'row_hash',
    'max_age_hours': 26,
    'controls': 'fct_user_controls_served', 'hot_path': true
}}) }}
with

preferences as (
    select * from {{ ref('int_preferences_served') }}
),

users as (
    select * from {{ ref('dim_users') }}
    where not is_excluded
),

consents as (
    select * from {{ ref('int_consents_effective') }}
    where valid_to is null
),

purposes as (
    select * from {{ ref('stg_declarations__consent_purposes') }}
),

user_segments as (
    select * from {{ ref('int_user_segments') }}
),

preference_lists as (
    select
        user_id,
        {{ sorted_list(struct_of({
            'dimension': 'dimension',
            'context': 'context',
            'value': 'value',
            'kind': 'kind',
            'score': 'score',
            'score_lower': 'score_lower',
            'score_upper': 'score_upper',
            'evidence_count': 'evidence_count',
            'reason': 'reason',
            'why': preference_why('preferences'),
        })) }} as preferences
    from preferences
    group by user_id
),

user_consents as (
    select
        users.user_id,
        purposes.purpose,
        coalesce(consents.is_granted, purposes.granted_by_default) as is_granted
    from users
    cross join purposes
    left join consents
        on
            users.user_id = consents.user_id
            and purposes.purpose = consents.purpose
),

-- segments come from exposures, which are measured, and are served to personalize
segmentable as (
    select user_id
    from user_consents
    where purpose in ('measurement', 'personalization') and is_granted
    group by user_id
    having count(*) = 2
),

segment_maps as (
    select
        user_segments.user_id,
        {{ map_from('user_segments.segment_name', 'user_segments.segment_value') }} as segments
    from user_segments
    inner join segmentable
        on user_segments.user_id = segmentable.user_id
    group by user_segments.user_id
),

consent_maps as (
    select
        user_id,
        {{ map_from('purpose', 'is_granted') }} as consent
    from user_consents
    group by user_id
),

profiles as (
    select
        users.user_id,
        {{ json_text(struct_of({
            'preferences': 'preference_lists.preferences',
            'segments': 'segment_maps.segments',
            'consent': 'consent_maps.consent',
        })) }} as payload
    from users
    left join preference_lists
        on users.user_id = preference_lists.user_id
    left join segment_maps
        on users.user_id = segment_maps.user_id
    left join consent_maps
        on users.user_id = consent_maps.user_id
)

select
    user_id,
    payload,
    md5(payload) as content_hash,
    {{ row_checksum("concat_ws(chr(31), user_id, md5(payload))") }} as row_hash
from profiles
