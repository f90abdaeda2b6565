{#- What was done to an estimate and its verdict, in order. An estimate that could not be made is in no
    family. -#}
{% macro adjustment_chain(relation, cap_quantile, stratify_by) -%}
    case
        when {{ relation }}.status is null then null
        else coalesce(
            nullif(
                concat_ws(
                    ' > ',
                    case
                        when {{ cap_quantile }} is not null
                            then concat('capped at ', {{ percentile_text(cap_quantile) }})
                    end,
                    case {{ relation }}.adjustment
                        when 'none' then null
                        when 'post_stratified' then concat('post_stratified by ', {{ stratify_by }})
                        else {{ relation }}.adjustment
                    end,
                    case
                        when {{ relation }}.status = 'ok' and {{ relation }}.multiplicity_method != 'none'
                            then {{ relation }}.multiplicity_method
                    end
                ),
                ''
            ),
            'none'
        )
    end
{%- endmacro %}
