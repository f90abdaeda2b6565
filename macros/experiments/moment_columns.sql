{#- Every column that moments add up: counts, totals, shifted sums and sums of products. -#}
{% macro moment_columns() -%}
    {%- set parts = moment_parts() -%}
    {%- set columns = ['units', 'units_without_history'] -%}
    {%- for part in parts -%}
        {%- do columns.append(part ~ '_total') -%}
        {%- do columns.append(part ~ '_sum') -%}
        {%- for other in parts[loop.index0:] -%}
            {%- do columns.append(part ~ '_' ~ other ~ '_sum') -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}
