{#- What a ranked value adds to a quantile that is interpolated between two ranks: type 7 of Hyndman
    and Fan (1996). -#}
{% macro quantile_share(value, rank, count, quantile) -%}
    {%- set place = '(1e0 + (' ~ count ~ ' - 1e0) * ' ~ quantile ~ ')' -%}
    {{ value }} * case
        when {{ rank }} = floor({{ place }}) then 1e0 - ({{ place }} - floor({{ place }}))
        when {{ rank }} = floor({{ place }}) + 1e0 then {{ place }} - floor({{ place }})
    end
{%- endmacro %}
