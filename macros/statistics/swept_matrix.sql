{#- Gauss-Jordan in place: a step needs the matrix of the step before and nothing else. -#}
{% macro swept_matrix(matrix, size, pivots) -%}
    {{ return(adapter.dispatch('swept_matrix', 'attune')(matrix, size, pivots)) }}
{%- endmacro %}

{#- DuckDB folds over items of one type: the matrix, then each pivot as a list of one -#}
{% macro duckdb__swept_matrix(matrix, size, pivots) -%}
    list_reduce(
        list_prepend(
            {{ matrix }},
            list_transform(range({{ pivots }}), lambda step: [cast(step as double)])
        ),
        lambda swept, step: list_transform(
            range({{ size }} * {{ size }}),
            lambda cell: {{ swept_cell(
                'swept', 'cast(step[1] as bigint)', '(cell // ' ~ size ~ ')', '(cell % ' ~ size ~ ')', size
            ) }}
        )
    )
{%- endmacro %}

{% macro spark__swept_matrix(matrix, size, pivots) -%}
    aggregate(
        sequence(0, cast({{ pivots }} as int) - 1),
        {{ matrix }},
        (swept, step) -> transform(
            sequence(0, cast({{ size }} * {{ size }} as int) - 1),
            cell -> {{ swept_cell(
                'swept', 'step', '(cell div ' ~ size ~ ')', '(cell % ' ~ size ~ ')', size
            ) }}
        )
    )
{%- endmacro %}
