{% macro spark__load_csv_rows(model, agate_table) -%}
    {#- Overrides that of dbt-spark, which binds a missing value as the text None and breaks at a
        quote. -#}
    {%- set types = model.config.get('column_types', {}) -%}
    {%- set statements = [] -%}
    {%- for chunk in agate_table.rows | batch(get_batch_size()) -%}
        {%- set statement -%}
            insert into {{ this.render() }} values
            {%- for row in chunk %}
                (
                    {%- for name in agate_table.column_names -%}
                        {%- set data_type = types.get(
                            name, adapter.convert_type(agate_table, loop.index0)
                        ) -%}
                        cast({{ spark_text_literal(row[loop.index0]) }} as {{ data_type }})
                        {{- ', ' if not loop.last }}
                    {%- endfor -%}
                ){{ ',' if not loop.last }}
            {%- endfor -%}
        {%- endset -%}
        {%- do adapter.add_query(statement, abridge_sql_log=True) -%}
        {%- do statements.append(statement) -%}
    {%- endfor -%}
    {{ return(statements[0] if statements else '') }}
{%- endmacro %}

{% macro spark_text_literal(value) -%}
    {#- Spark reads a backslash in a text as the start of an escape. -#}
    {%- if value is none -%}
        null
    {%- else -%}
        '{{ value | string | replace("\\", "\\\\") | replace("'", "\\'") }}'
    {%- endif -%}
{%- endmacro %}
