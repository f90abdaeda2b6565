{% macro get_incremental_overwrite_touched_sql(arguments) -%}
    {#- Incremental strategy: afterwards the touched keys hold the new rows and nothing else, as if
        all their rows were deleted first. Of a touched date, part or batch most rows are the same as
        before, and writing costs more than comparing: only those that differ are written. They are compared as
        a multiset, by the hash of all columns; lists and maps as text, because DuckDB gives an
        empty one the hash of null. Of a touched user nearly every row differs: all are written. -#}
    {%- set key = model.config.meta.overwrite.key -%}
    {%- set target = arguments.target_relation -%}
    {%- set new = arguments.temp_relation -%}
    {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    {%- set is_compared = key in ['event_date', 'batch_id'] or key.endswith('_part') -%}
    {%- if not is_compared -%}
        delete from {{ target }} where {{ is_touched(key) }};
        insert into {{ target }} ({{ columns }}) select {{ columns }} from {{ new }};
    {%- else -%}
        {#- the rows of a batch lie anywhere in the table: of a new one there are none to look for -#}
        {%- set held = is_touched(key, held=key == 'batch_id') -%}
        {%- set differing = target.identifier ~ '__differing' -%}
        {%- set hashed = [] -%}
        {%- for column in arguments.dest_columns -%}
            {%- set is_nested = '[' in column.dtype or '(' in column.dtype -%}
            {%- do hashed.append(
                'cast(' ~ column.quoted ~ ' as varchar)' if is_nested else column.quoted
            ) -%}
        {%- endfor -%}
        {%- set row_hash = 'hash(' ~ hashed | join(', ') ~ ')' -%}
        create temp table {{ differing }} as
        select sides.row_hash
        from (
            select {{ row_hash }} as row_hash, 1 as copies from {{ new }}
            union all
            select {{ row_hash }} as row_hash, -1 as copies from {{ target }} where {{ held }}
        ) as sides
        group by sides.row_hash
        having sum(sides.copies) <> 0;

        delete from {{ target }}
        where {{ held }} and {{ row_hash }} in (select row_hash from {{ differing }});

        insert into {{ target }} ({{ columns }})
        select {{ columns }}
        from {{ new }}
        where {{ row_hash }} in (select row_hash from {{ differing }});

        drop table {{ differing }};
    {%- endif -%}
{%- endmacro %}
