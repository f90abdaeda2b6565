{% macro list_item(items, place) -%}
    {{ return(adapter.dispatch('list_item', 'attune')(items, place)) }}
{%- endmacro %}

{% macro duckdb__list_item(items, place) -%}
    {{ items }}[cast({{ place }} as bigint) + 1]
{%- endmacro %}

{% macro spark__list_item(items, place) -%}
    {{ items }}[cast({{ place }} as int)]
{%- endmacro %}
