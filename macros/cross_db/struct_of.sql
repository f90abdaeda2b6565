{% macro struct_of(columns) -%}
    {{ return(adapter.dispatch('struct_of', 'attune')(columns)) }}
{%- endmacro %}

{% macro duckdb__struct_of(columns) -%}
    struct_pack(
        {%- for name in columns %} "{{ name }}" := {{ columns[name] }}{{ ',' if not loop.last }}{% endfor %})
{%- endmacro %}

{% macro spark__struct_of(columns) -%}
    named_struct(
        {%- for name in columns %} '{{ name }}', {{ columns[name] }}{{ ',' if not loop.last }}{% endfor %})
{%- endmacro %}
