{% test none_missing(model, columns) %}
    {#- One scan for all columns that are never null, where `not_null` takes one scan each. -#}
    select {{ columns | join(', ') }}
    from {{ model }}
    where
        {%- for column in columns %}
            {{ 'or ' if not loop.first }}{{ column }} is null
        {%- endfor %}
{% endtest %}
