{% macro declared(seed, columns) -%}
    {#- Reads a declaration, which loads as text: casts each column, and gives a column that is
        missing or empty its default. columns: name -> [type, default]; no default means null. -#}
    {%- set relation = ref(seed) -%}
    {%- set present = columns.keys() | list -%}
    {%- if execute and load_relation(relation) is not none -%}
        {%- set present = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- endif -%}
    select
        {%- for name, rule in columns.items() %}
            {%- set text = "nullif(trim(" ~ seed ~ "." ~ name ~ "), '')" if name in present
                else 'cast(null as string)' %}
            {%- set cast_text = safe_cast_text(text, rule[0]) %}
            {% if rule | length > 1 -%}
                coalesce({{ cast_text }}, {{ rule[1] }}) as {{ name }}
            {%- else -%}
                {{ cast_text }} as {{ name }}
            {%- endif %}
            {{- ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }} as {{ seed }}
{%- endmacro %}
