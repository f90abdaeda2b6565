{% test unique_combination(model, columns) %}
    {#- Nulls count as equal: a grain whose key may be null is unique all the same. -#}
    select
        {{ columns | join(', ') }},
        count(*) as row_count
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
