with

record_versions as (
    select * from {{ ref('int_record_part_versions') }}
),

declaration_versions as (
    select * from {{ ref('int_declaration_versions') }}
),

parts as (
    select
        event_date,
        concat(unit_part, ':', version) as part
    from record_versions
    union all
    select distinct
        record_versions.event_date,
        concat('attribute_aliases:', declaration_versions.version) as part
    from record_versions
    cross join declaration_versions
    where declaration_versions.declaration = 'attribute_aliases'
)

select
    event_date,
    {{ sorted_digest('part') }} as version
from parts
group by event_date
