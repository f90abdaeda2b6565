{% macro prepare_lake() -%}
    {#- Puts a relation in schema lake in front of each folder of Parquet files: sources then read
        the same way on every engine. -#}
    {%- if execute -%}
        {%- do adapter.dispatch('require_settled_lake', 'attune')() -%}
        {%- do run_query('create schema if not exists lake') -%}
        {%- for table_name in [
            'log_records', 'spans', 'batches', 'rejections', 'pseudonym_links', 'erased_records',
        ] -%}
            {%- do run_query(adapter.dispatch('lake_view', 'attune')(table_name)) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__require_settled_lake() -%}
    {#- A switch of files that was cut off may have left rows in two of them. -#}
    {%- set plan = lake_path('switch.json') -%}
    {%- set found = run_query("select count(*) from glob('" ~ plan | replace("'", "''") ~ "')") -%}
    {%- if found.rows[0][0] > 0 -%}
        {{ exceptions.raise_compiler_error(
            'files of the lake are being replaced, or that was cut off (' ~ plan
            ~ '): wait, or run `attune compact` to finish it, then build again'
        ) }}
    {%- endif -%}
{%- endmacro %}

{% macro spark__require_settled_lake() -%}
    {#- No statement of Spark lists files: compact and erase while nothing builds. -#}
{%- endmacro %}

{% macro lake_path(table_name) -%}
    {{ return(env_var('ATTUNE_HOME', '.attune') ~ '/lake/' ~ table_name) }}
{%- endmacro %}

{% macro duckdb__lake_view(table_name) -%}
    {%- set is_partitioned = table_name in ['log_records', 'spans'] -%}
    {%- set pattern = lake_path(table_name) ~ ('/*/*.parquet' if is_partitioned else '/*.parquet') -%}
    {%- set columns = lake_columns(table_name) -%}
    {%- set files = run_query("select count(*) from glob('" ~ pattern | replace("'", "''") ~ "')") -%}
    create or replace view lake.{{ table_name }} as
    {%- if files.rows[0][0] > 0 %}
        select {{ columns | join(', ') }}
        from read_parquet(
            '{{ pattern | replace("'", "''") }}'
            {%- if is_partitioned %}, hive_partitioning = true, hive_types = {event_date: date}{% endif %}
        )
    {%- else %}
        select
            {%- for name, data_type in columns.items() %}
                cast(null as {{ data_type }}) as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        where false
    {%- endif %}
{%- endmacro %}

{% macro spark__lake_view(table_name) -%}
    {#- Ingest keeps at least an empty file in each folder. Spark reads times without a zone as a type
        of their own, which the sessions' zone, UTC, turns into the usual one. -#}
    create or replace view lake.{{ table_name }} as
    select
        {%- for name, data_type in lake_columns(table_name).items() %}
            {{ 'cast(' ~ name ~ ' as ' ~ data_type ~ ') as ' ~ name
                if data_type in ['timestamp', 'date'] else name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from parquet.`{{ lake_path(table_name) | replace('`', '``') }}`
{%- endmacro %}
