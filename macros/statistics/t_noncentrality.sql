{#- t = z + ... after Cornish and Fisher; then P(noncentral t > t) = power after Johnson and Welch
    (1940), solved for the noncentrality. -#}
{% macro t_noncentrality(z_alpha, z_power, degrees_of_freedom) -%}
    {%- set z2 = '(' ~ z_alpha ~ ' * ' ~ z_alpha ~ ')' -%}
    {%- set v = '(' ~ degrees_of_freedom ~ ')' -%}
    {%- set t -%}
        ({{ z_alpha }} * (
            1e0 + ({{ z2 }} + 1e0) / (4e0 * {{ v }})
            + ((5e0 * {{ z2 }} + 16e0) * {{ z2 }} + 3e0) / (96e0 * {{ v }} * {{ v }})
            + (((3e0 * {{ z2 }} + 19e0) * {{ z2 }} + 17e0) * {{ z2 }} - 15e0)
            / (384e0 * {{ v }} * {{ v }} * {{ v }})
        ))
    {%- endset -%}
    {{ t }} * (1e0 - 1e0 / (4e0 * {{ v }}))
    + {{ z_power }} * sqrt(1e0 + {{ t }} * {{ t }} / (2e0 * {{ v }}))
{%- endmacro %}
