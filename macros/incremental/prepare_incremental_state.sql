{% macro prepare_incremental_state() -%}
    {%- if execute -%}
        {%- do adapter.dispatch('prepare_incremental_state', 'attune')() -%}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__prepare_incremental_state() -%}
    {%- do run_query('create schema if not exists incremental_state') -%}
    {%- set held = run_query(
        "select table_name from information_schema.tables where table_schema = 'incremental_state'"
    ).columns[0].values() -%}
    {#- a table that was made whole before its model became incremental says of no key what it holds #}
    {%- for name in selected_resources if name in graph.nodes -%}
        {%- set node = graph.nodes[name] -%}
        {%- if node.config.meta.get('overwrite') and node.alias not in held -%}
            {%- set relation = load_relation(api.Relation.create(
                database=node.database, schema=node.schema, identifier=node.alias
            )) -%}
            {%- if relation is not none -%}
                {%- do adapter.drop_relation(relation) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}

{% macro spark__prepare_incremental_state() -%}
{%- endmacro %}
