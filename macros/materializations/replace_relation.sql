{#- Drops the old table or view and creates the new one in one transaction. dbt's own way creates
    another one, renames both and drops the old, and each of these costs as much as a small model. -#}
{% macro replace_relation(kind) -%}
    {%- set held = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type=kind) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if held is not none and held.type != kind -%}
        {%- do adapter.drop_relation(held) -%}
    {%- endif -%}
    {%- call statement('main') -%}
        drop {{ kind }} if exists {{ target }};
        {{ get_create_view_as_sql(target, sql) if kind == 'view' else create_table_as(false, target, sql) }}
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{%- endmacro %}

{% materialization table, adapter='duckdb' %}
    {{ return(replace_relation('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(replace_relation('view')) }}
{% endmaterialization %}
