{% macro map_from(key, value) -%}
    {{ return(adapter.dispatch('map_from', 'attune')(key, value)) }}
{%- endmacro %}

{% macro duckdb__map_from(key, value) -%}
    map_from_entries(list_sort(list(struct_pack(k := {{ key }}, v := {{ value }}))))
{%- endmacro %}

{% macro spark__map_from(key, value) -%}
    map_from_entries(array_sort(collect_list(struct({{ key }} as k, {{ value }} as v))))
{%- endmacro %}
