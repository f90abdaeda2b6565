{# All columns of a relation but the listed ones (text, separated by commas). Only the keyword
   differs between engines. #}
{% macro relation_without_columns(relation, columns) -%}
    {{ return(adapter.dispatch('relation_without_columns', 'attune')(relation, columns)) }}
{%- endmacro %}

{% macro default__relation_without_columns(relation, columns) -%}
    {{ relation }}.* except ({{ columns }})
{%- endmacro %}

{% macro duckdb__relation_without_columns(relation, columns) -%}
    {{ relation }}.* exclude ({{ columns }})
{%- endmacro %}
