{% macro touched_keys() -%}
    {#- Keys whose wanted version differs from the one held, vanished keys included. -#}
    select
        coalesce(wanted.version_key, held.version_key) as version_key,
        held.version_key is not null as is_held
    from ({{ wanted_versions() }}) as wanted
    full outer join {{ incremental_state_relation() }} as held
        on wanted.version_key = held.version_key
    where wanted.version is distinct from held.version
{%- endmacro %}
