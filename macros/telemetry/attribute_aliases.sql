{% macro attribute_aliases(kind) -%}
    {#- Canonical name -> list of aliases, from the declaration; empty while dbt only parses. A
        warehouse may still hold the declaration of an earlier version, with fewer columns. -#}
    {%- set relation = ref('attribute_aliases') -%}
    {%- set aliases = {} -%}
    {%- if execute and load_relation(relation) is not none -%}
        {%- set present = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
        {%- set columns = ['canonical_name', 'alias'] -%}
        {%- for column in ['on_events', 'where_values'] -%}
            {%- do columns.append("coalesce(" ~ column ~ ", '')" if column in present else "''") -%}
        {%- endfor -%}
        {%- set declared = run_query(
            'select ' ~ columns | join(', ') ~ ' from ' ~ relation ~ " where kind = '" ~ kind
            ~ "' order by 1, 2, 3, 4"
        ) -%}
        {%- for row in declared.rows -%}
            {%- set pairs = [] -%}
            {%- for pair in (row[3] or '').split(';') if pair -%}
                {%- do pairs.append(pair.split('=', 1)) -%}
            {%- endfor -%}
            {%- do aliases.setdefault(row[0], []).append({
                'name': row[1],
                'on_events': (row[2] or '').split(';') | select | list,
                'where_values': pairs,
            }) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(aliases) }}
{%- endmacro %}
