{% macro map_text(expression) -%}
    {#- The same text on every engine: it decides which of two copies of an event survives. -#}
    {{ return(adapter.dispatch('map_text', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__map_text(expression) -%}
    array_to_string(
        list_sort(list_transform(
            map_entries({{ expression }}),
            lambda entry: concat(entry.key, '=', coalesce(entry.value, ''))
        )),
        chr(31)
    )
{%- endmacro %}

{% macro spark__map_text(expression) -%}
    array_join(
        array_sort(transform(
            map_entries({{ expression }}),
            entry -> concat(entry.key, '=', coalesce(entry.value, ''))
        )),
        chr(31)
    )
{%- endmacro %}
