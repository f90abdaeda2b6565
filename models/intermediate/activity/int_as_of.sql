{#- The instant that the build speaks of: declared, or that of the newest load. -#}
select
    {%- if declared_as_of() %}
        {{ declared_as_of() }} as as_of
    {%- else %}
        max(batches.loaded_at) as as_of
    {%- endif %}
from {{ ref('stg_telemetry__batches') }} as batches
