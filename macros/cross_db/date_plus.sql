{% macro date_plus(date, days) -%}
    cast({{ add_time('cast(' ~ date ~ ' as timestamp)', days, 'day') }} as date)
{%- endmacro %}
