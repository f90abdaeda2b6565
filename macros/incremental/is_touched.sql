{% macro is_touched(column, linked_by=none, dated=true, held=false) -%}
    {#- Predicate: the row belongs to a key that must be rebuilt; true in a full build. Dates are
        written out, so that the engine reads only their files: of parts, their dates, and of batches
        those that their records are of, which the rows have beside them as event_date.
        `linked_by` adds the keys that a model pairs with a touched one: such rows need both.
        `held`: only keys that the model has had. -#}
    {%- set pairs = ref(linked_by) if linked_by -%}
    {%- if not execute or not is_incremental() -%}
        {{ return('true') }}
    {%- endif -%}
    {%- set key = model.config.meta.overwrite.key -%}
    {%- set is_part = key.endswith('_part') -%}
    {%- set is_listed = key in ['event_date', 'batch_id'] -%}
    {%- set link = 'linked_part' if is_part else 'linked_date' -%}
    {%- set restricted = ' where is_held' if held else '' -%}
    {%- set kept = 'select version_key from ' ~ touched_relation() ~ restricted -%}
    {%- set found = 'select version_key from (' ~ touched_keys() ~ ') as touched' ~ restricted -%}
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
    {%- set listed_values = ' in (' ~ literals | join(', ') ~ ')' -%}
    {%- set is_in = ('event_date' if is_part else column) ~ listed_values -%}
    {%- if key == 'batch_id' and not held -%}
        {%- set dates = run_query(
            'select cast(min(first_occurred_at) as date), cast(max(last_occurred_at) as date) from '
            ~ ref('stg_telemetry__batches') ~ ' where batch_id' ~ listed_values
        ).rows[0] -%}
        {%- if dates[0] is not none -%}
            {%- set is_in = is_in ~ " and event_date between date '" ~ dates[0] ~ "' and date '"
                ~ dates[1] ~ "'" -%}
        {%- endif -%}
    {%- endif -%}
    {{ return('(' ~ is_in ~ (' and ' ~ is_kept if is_part else '') ~ ')') }}
{%- endmacro %}
