{# What Stirling's (x - 1 / 2) * ln(x) - x + ln(2 * pi) / 2 lacks of ln(gamma(x)), for x from 1e-300
   to 1e300, else null: its series from 10 on, the difference itself below, where nothing large
   cancels. The argument is repeated: pass a column. #}
{% macro log_gamma_remainder(x) -%}
    case
        when {{ x }} >= 1e1 and {{ x }} < 1e300 then {{ stirling_remainder(x) }}
        when {{ x }} > 1e-300 and {{ x }} < 1e1
            then {{ log_gamma(x) }}
                - (({{ x }} - 5e-1) * ln({{ x }}) - {{ x }} + 9.189385332046727e-1)
    end
{%- endmacro %}
