{% macro is_touched(column, linked_by=none, dated=true) -%}
    {#- Predicate: the row belongs to a key that must be rebuilt; true in a full build. Dates and
        batches are written out, so that the engine reads only their files; of parts, their dates.
        `linked_by` adds the keys that a model pairs with a touched one: such rows need both. -#}
    {%- set pairs = ref(linked_by) if linked_by -%}
    {%- if not execute or not is_incremental() -%}
        {{ return('true') }}
    {%- endif -%}
    {%- set key = model.config.meta.overwrite.key -%}
    {%- set is_part = key.endswith('_part') -%}
    {%- set is_listed = key in ['event_date', 'batch_id'] -%}
    {%- set link = 'linked_part' if is_part else 'linked_date' -%}
    {%- set kept = 'select version_key from ' ~ touched_relation() -%}
    {%- set found = 'select version_key from (' ~ touched_keys() ~ ') as touched' -%}
    {%- if linked_by -%}
        {%- set linked = ' union select linked.' ~ link ~ ' from ' ~ pairs ~ ' as linked where linked.'
            ~ key ~ ' in (' -%}
        {%- set kept = kept ~ linked ~ kept ~ ')' -%}
        {%- set found = found ~ linked ~ found ~ ')' -%}
    {%- endif -%}
    {%- set is_kept = column ~ ' in (' ~ kept ~ ')' -%}
    {%- if not is_listed and not (is_part and dated) -%}
        {{ return(is_kept) }}
    {%- endif -%}
    {%- set listed = 'substr(keys.version_key, 1, 10)' if is_part else 'keys.version_key' -%}
    {%- set values = run_query(
        'select distinct ' ~ listed ~ ' from (' ~ found ~ ') as keys order by 1'
    ).columns[0].values() -%}
    {%- if values | length == 0 -%}
        {{ return('false') }}
    {%- endif -%}
    {%- set literals = [] -%}
    {%- for value in values -%}
        {%- do literals.append(('' if key == 'batch_id' else 'date ') ~ "'" ~ value ~ "'") -%}
    {%- endfor -%}
    {%- set is_in = ('event_date' if is_part else column) ~ ' in (' ~ literals | join(', ') ~ ')' -%}
    {{ return('(' ~ is_in ~ ' and ' ~ is_kept ~ ')' if is_part else is_in) }}
{%- endmacro %}
