{% macro suppression_events() -%}
    {#- Events of an erased user that stay: who asked to be forgotten, and which ids were theirs. Without
        them what comes late would bring the user back. -#}
    ('user.erasure.requested', 'user.identified')
{%- endmacro %}
