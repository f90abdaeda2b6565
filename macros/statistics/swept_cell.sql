{% macro swept_cell(swept, pivot, row, column, size) -%}
    {%- set of_pivot = list_item(swept, pivot ~ ' * ' ~ size ~ ' + ' ~ pivot) -%}
    {%- set of_row = list_item(swept, row ~ ' * ' ~ size ~ ' + ' ~ pivot) -%}
    {%- set of_column = list_item(swept, pivot ~ ' * ' ~ size ~ ' + ' ~ column) -%}
    case
        when {{ row }} = {{ pivot }} and {{ column }} = {{ pivot }} then 1e0 / {{ of_pivot }}
        when {{ row }} = {{ pivot }} then {{ of_column }} / {{ of_pivot }}
        when {{ column }} = {{ pivot }} then -{{ of_row }} / {{ of_pivot }}
        else
            {{ list_item(swept, row ~ ' * ' ~ size ~ ' + ' ~ column) }}
            - {{ of_row }} * {{ of_column }} / {{ of_pivot }}
    end
{%- endmacro %}
