{% macro order_key(timestamp, tie) -%}
    {#- Text that sorts by time, then by the tie-break; times print with trailing zeros cut, which
        would not. -#}
    {{ return(adapter.dispatch('order_key', 'attune')(timestamp, tie)) }}
{%- endmacro %}

{% macro duckdb__order_key(timestamp, tie) -%}
    concat(lpad(cast(epoch_us({{ timestamp }}) as varchar), 20, '0'), '|', {{ tie }})
{%- endmacro %}

{% macro spark__order_key(timestamp, tie) -%}
    concat(lpad(cast(unix_micros({{ timestamp }}) as string), 20, '0'), '|', {{ tie }})
{%- endmacro %}
