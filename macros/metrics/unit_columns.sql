{% macro unit_columns() -%}
    {#- Units that experiments assign, and the column of events that names each. -#}
    {{ return({'user': 'unit_id', 'session': 'session_id', 'organization': 'organization_id'}) }}
{%- endmacro %}
