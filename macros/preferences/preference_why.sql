{#- Columns of dim_user_preferences as one struct; a value that nothing is known of has nulls. -#}
{% macro preference_why(relation) -%}
    {%- set column = relation ~ '.' -%}
    {{ struct_of({
        'kind': column ~ 'kind',
        'signals': column ~ 'evidence_count',
        'k': column ~ 'successes',
        'n': column ~ 'trials',
        'first_signal_on': 'cast(cast(' ~ column ~ 'first_signal_at as date) as string)',
        'last_signal_on': 'cast(cast(' ~ column ~ 'last_signal_at as date) as string)',
        'prior': struct_of({
            'mean': column ~ 'prior_mean',
            'strength': column ~ 'prior_strength',
            'segment': column ~ 'segment',
        }),
        'terms': struct_of({
            'everyone': column ~ 'everyone_term',
            'context': column ~ 'context_term',
            'segment': column ~ 'segment_term',
            'own': column ~ 'own_term',
        }),
        'score': column ~ 'score',
    }) }}
{%- endmacro %}
