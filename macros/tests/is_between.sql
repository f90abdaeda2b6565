{% test is_between(model, column_name, lower=none, upper=none) %}
    {#- A NaN fails whatever the bounds: engines sort it above every number. -#}
    select {{ column_name }}
    from {{ model }}
    where
        isnan(cast({{ column_name }} as double))
        {%- if lower is not none %}
            or {{ column_name }} < {{ lower }}
        {%- endif %}
        {%- if upper is not none %}
            or {{ column_name }} > {{ upper }}
        {%- endif %}
{% endtest %}
