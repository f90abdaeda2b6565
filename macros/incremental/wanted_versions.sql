{% macro wanted_versions() -%}
    {#- The version that each key should have: that of its data, of the declarations that the model
        reads, and of the model's own code. -#}
    {%- set overwrite = model.config.meta.overwrite -%}
    {%- set code = model.raw_code ~ (metric_definitions_text() if overwrite.reads_metrics else '') -%}
    select
        versions.{{ overwrite.key }} as version_key,
        md5(
            concat(
                versions.version, '{{ local_md5(code) }}'
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
