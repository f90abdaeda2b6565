{% macro wanted_versions() -%}
    {#- The version that each key should have: that of its data, of the declarations that the model
        reads, and of the code that makes it. -#}
    {%- set overwrite = model.config.meta.overwrite -%}
    {%- set metrics = local_md5(metric_definitions_text()) if overwrite.reads_metrics else '' -%}
    select
        versions.{{ overwrite.key }} as version_key,
        md5(
            concat(
                versions.version, '{{ code_version() }}', '{{ metrics }}'
                {%- for declaration in overwrite.declarations -%}
                    , (
                        select declaration_versions.version
                        from {{ ref('int_declaration_versions') }} as declaration_versions
                        where declaration_versions.declaration = '{{ declaration }}'
                    )
                {%- endfor %}
            )
        ) as version
    from {{ ref(overwrite.versions) }} as versions
{%- endmacro %}
