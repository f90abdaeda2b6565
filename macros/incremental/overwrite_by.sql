{% macro overwrite_by(versions, key, declarations=[], reads_metrics=false) -%}
    {#- Configures a model that overwrites whole partitions: the rows of a key are made anew when the
        version of the key in `versions`, a declaration that the model reads, the metric definitions
        or the model's code changed. On engines without deletes the model is a full table. -#}
    {%- do ref(versions) -%}
    {%- do ref('int_declaration_versions') -%}
    {%- if key == 'batch_id' -%}
        {%- do ref('stg_telemetry__batches') -%}
    {%- endif -%}
    {{ config(
        materialized=incremental_materialization(),
        incremental_strategy='overwrite_touched',
        on_schema_change='fail',
        pre_hook=['{{ find_touched() }}'],
        post_hook=['{{ record_versions() }}', '{{ forget_touched() }}'],
        meta={
            'overwrite': {
                'versions': versions,
                'key': key,
                'declarations': declarations,
                'reads_metrics': reads_metrics,
            },
        },
    ) }}
{%- endmacro %}
