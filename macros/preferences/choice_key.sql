{#- Text that sorts values by score, then evidence, then name. -#}
{% macro choice_key(score, evidence_count, value) -%}
    concat(
        lpad(cast(cast(round({{ score }} * 1e12) as bigint) as string), 15, '0'), '|',
        lpad(cast({{ evidence_count }} as string), 12, '0'), '|', {{ value }}
    )
{%- endmacro %}
