{% macro exploded_attributes(relation, columns) -%}
    {#- A select with one row per attribute of each row: the columns, attribute and value. -#}
    {{ return(adapter.dispatch('exploded_attributes', 'attune')(relation, columns)) }}
{%- endmacro %}

{% macro duckdb__exploded_attributes(relation, columns) -%}
    select
        {{ columns | join(', ') }},
        unnest(map_keys(attributes)) as attribute,
        unnest(map_values(attributes)) as value
    from {{ relation }}
{%- endmacro %}

{% macro spark__exploded_attributes(relation, columns) -%}
    select
        {{ columns | join(', ') }},
        explode(attributes) as (attribute, value)
    from {{ relation }}
{%- endmacro %}
