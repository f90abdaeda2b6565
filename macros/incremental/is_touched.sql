{% macro is_touched(column, linked_by=none) -%}
    {#- Predicate: the row belongs to a key that must be rebuilt; true in a full build. Dates are
        written out, so that the engine reads only their files. `linked_by` adds the dates that a
        model pairs with a touched date: such rows need both. -#}
    {%- set linked_dates = ref(linked_by) if linked_by -%}
    {%- if not execute or not is_incremental() -%}
        {{ return('true') }}
    {%- endif -%}
    {%- if model.config.meta.overwrite.key != 'event_date' -%}
        {{ return(column ~ ' in (select version_key from ' ~ touched_relation() ~ ')') }}
    {%- endif -%}
    {%- set query -%}
        select version_key from ({{ touched_keys() }}) as touched
        {%- if linked_by %}
            union
            select linked.linked_date
            from {{ linked_dates }} as linked
            where linked.event_date in (select version_key from ({{ touched_keys() }}) as touched)
        {%- endif %}
        order by 1
    {%- endset -%}
    {%- set dates = run_query(query).columns[0].values() -%}
    {%- if dates | length == 0 -%}
        {{ return('false') }}
    {%- endif -%}
    {%- set literals = [] -%}
    {%- for date in dates -%}
        {%- do literals.append("date '" ~ date ~ "'") -%}
    {%- endfor -%}
    {{ return(column ~ ' in (' ~ literals | join(', ') ~ ')') }}
{%- endmacro %}
