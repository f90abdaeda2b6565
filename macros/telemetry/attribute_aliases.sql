{% macro attribute_aliases(kind) -%}
    {#- Canonical name -> list of aliases, from the declaration; empty while dbt only parses. -#}
    {%- set relation = ref('attribute_aliases') -%}
    {%- set aliases = {} -%}
    {%- if execute and load_relation(relation) is not none -%}
        {%- set declared = run_query(
            "select canonical_name, alias from " ~ relation
            ~ " where kind = '" ~ kind ~ "' order by canonical_name, alias"
        ) -%}
        {%- for row in declared.rows -%}
            {%- do aliases.setdefault(row[0], []).append(row[1]) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(aliases) }}
{%- endmacro %}
