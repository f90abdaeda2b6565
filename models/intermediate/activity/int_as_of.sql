{#- The instant that the build speaks of: declared, or that of the newest load. An aggregate, so that
    a declared instant too is one row, whatever was loaded. -#}
select
    {%- if declared_as_of() %}
        coalesce({{ declared_as_of() }}, max(batches.loaded_at)) as as_of
    {%- else %}
        max(batches.loaded_at) as as_of
    {%- endif %}
from {{ ref('stg_telemetry__batches') }} as batches
