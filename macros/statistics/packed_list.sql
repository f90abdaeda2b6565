{% macro packed_list(place, value) -%}
    {{ return(adapter.dispatch('packed_list', 'attune')(place, value)) }}
{%- endmacro %}

{% macro duckdb__packed_list(place, value) -%}
    list({{ value }} order by {{ place }})
{%- endmacro %}

{% macro spark__packed_list(place, value) -%}
    transform(
        array_sort(collect_list(struct({{ place }} as place, {{ value }} as item))),
        packed -> packed.item
    )
{%- endmacro %}
