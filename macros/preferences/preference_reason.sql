{#- Why a value is served, in words that users can read; the numbers are those of preference_why. -#}
{% macro preference_reason(relation) -%}
    {%- set column = relation ~ '.' -%}
    {%- set steps -%}
        concat(
            'Everybody ', {{ decimal_text(column ~ 'everyone_term', 3) }},
            case
                when {{ column }}context != 'all'
                    then concat(', in this context ', {{ signed_text(column ~ 'context_term', 3) }})
                else ''
            end,
            case
                when {{ column }}segment is not null then concat(
                    ', people like you (', {{ column }}segment, ') ',
                    {{ signed_text(column ~ 'segment_term', 3) }}
                )
                else ''
            end
        )
    {%- endset -%}
    case
        when {{ column }}kind = 'stated' then 'You set this yourself.'
        when {{ column }}kind = 'inferred' then concat(
            'Signals from you: ', {{ column }}evidence_count, ', from ',
            cast({{ column }}first_signal_at as date), ' to ',
            cast({{ column }}last_signal_at as date), ', in favour ',
            {{ decimal_text(column ~ 'successes', 1) }}, ' of ',
            {{ decimal_text(column ~ 'trials', 1) }}, '. ', {{ steps }}, ', your signals ',
            {{ signed_text(column ~ 'own_term', 3) }}, ': score ',
            {{ decimal_text(column ~ 'score', 3) }}, ' (90% interval ',
            {{ decimal_text(column ~ 'score_lower', 3) }}, ' to ',
            {{ decimal_text(column ~ 'score_upper', 3) }}, '). What others do counts as ',
            {{ decimal_text(column ~ 'prior_strength', 1) }}, ' signals.'
        )
        when {{ column }}is_excluded then 'Default: a declaration leaves this user out.'
        when not {{ column }}is_personalizable
            then 'Default: no consent to personalization is in force.'
        when {{ column }}score is not null then concat(
            'Default: nothing is known of you and this value yet. ', {{ steps }}, ': score ',
            {{ decimal_text(column ~ 'score', 3) }}, '.'
        )
        when {{ column }}best_score is null then 'Default: nothing is known yet.'
        else concat(
            'Default: the best score, ', {{ decimal_text(column ~ 'best_score', 3) }},
            ', is below the threshold for serving.'
        )
    end
{%- endmacro %}
