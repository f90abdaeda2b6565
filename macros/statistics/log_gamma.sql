{# ln(gamma(x)) for x from 1e-300 to 1e300, else null: Lanczos' series, Godfrey's coefficients
   (g = 607 / 128, Press et al., 2007, section 6.1). Error within 1e-14 of the larger of 1 and the
   value. The argument is repeated: pass a column. #}
{% macro log_gamma(x) -%}
    {%- set argument -%}
        (case when {{ x }} > 1e-300 and {{ x }} < 1e300 then {{ x }} end)
    {%- endset -%}
    {%- set coefficients = [
        '5.7156235665862923517e1', '-5.9597960355475491248e1', '1.4136097974741747174e1',
        '-4.9191381609762019978e-1', '3.3994649984811888699e-5', '4.6523628927048575665e-5',
        '-9.8374475304879564677e-5', '1.5808870322491248884e-4', '-2.1026444172410488319e-4',
        '2.1743961811521264320e-4', '-1.6431810653676389022e-4', '8.4418223983852743293e-5',
        '-2.6190838401581408670e-5', '3.6899182659531622704e-6',
    ] -%}
    (
        ({{ argument }} + 5e-1) * ln({{ argument }} + 5.2421875e0) - ({{ argument }} + 5.2421875e0)
        + ln(2.5066282746310005e0 * (
            9.9999999999999709182e-1
            {%- for coefficient in coefficients %}
            + {{ coefficient }} / ({{ argument }} + {{ loop.index }}e0)
            {%- endfor %}
        ) / {{ argument }})
    )
{%- endmacro %}
