{# P(Z > z) of the standard normal, exact to a few units in the last place down to the smallest
   double (rational approximations of Cody, 1969, as arranged in Cody, 1993, ANORM, algorithm 715).
   The exponential is taken at z rounded to sixteenths and at the rest, so that squaring z loses
   nothing. Null where z is null or not finite. The argument is repeated: pass a column. #}
{% macro normal_tail(z) -%}
    {%- set z_text = '(' ~ z ~ ')' -%}
    {%- set y = 'abs' ~ z_text -%}
    {%- set far = '(case when ' ~ y ~ ' < 4e1 then ' ~ y ~ ' else 4e1 end)' -%}
    {%- set sixteenths = '(floor(' ~ far ~ ' * 1.6e1) / 1.6e1)' -%}
    {%- set square = z_text ~ ' * ' ~ z_text -%}
    {%- set inverse_square = '(1e0 / (' ~ far ~ ' * ' ~ far ~ '))' -%}
    {%- set density -%}
        exp(-{{ sixteenths }} * {{ sixteenths }} / 2e0)
        * exp(-({{ far }} - {{ sixteenths }}) * ({{ far }} + {{ sixteenths }}) / 2e0)
    {%- endset -%}
    case
        when {{ y }} <= 6.7448975e-1 then 5e-1 - {{ z_text }} * {{ polynomial(square, [
            '1.8154981253343561249e4', '1.0676894854603709582e3', '1.6102823106855587881e2',
            '2.2352520354606839287e0', '6.5682337918207449113e-2',
        ]) }} / {{ polynomial(square, [
            '4.5507789335026729956e4', '1.0260932208618978205e4', '9.7609855173777669322e2',
            '4.720258190468824187e1', '1e0',
        ]) }}
        when {{ y }} <= 5.65685424949238e0 then abs(
            case when {{ z_text }} < 0e0 then 1e0 else 0e0 end
            - {{ density }} * {{ polynomial(far, [
                '9.8427148383839780218e3', '1.1602651437647350124e4', '6.8481904505362823326e3',
                '2.4945375852903726711e3', '5.9727027639480026226e2', '9.3506656132177855979e1',
                '8.8831497943883759412e0', '3.9894151208813466764e-1', '1.0765576773720192317e-8',
            ]) }} / {{ polynomial(far, [
                '1.9685429676859990727e4', '3.8912003286093271411e4', '3.4900952721145977266e4',
                '1.8615571640885098091e4', '6.485558298266760755e3', '1.519377599407554805e3',
                '2.3538790178262499861e2', '2.2266688044328115691e1', '1e0',
            ]) }}
        )
        when {{ y }} < 1.7976931348623157e308 then abs(
            case when {{ z_text }} < 0e0 then 1e0 else 0e0 end
            - {{ density }} * (
                3.98942280401432677939946e-1 - {{ inverse_square }} * {{ polynomial(
                    inverse_square, [
                        '2.9112874951168792e-5', '1.421619193227893466e-3',
                        '2.2235277870649807e-2', '1.274011611602473639e-1',
                        '2.1589853405795699e-1', '2.307344176494017303e-2',
                    ]
                ) }} / {{ polynomial(inverse_square, [
                    '7.29751555083966205e-5', '3.78239633202758244e-3', '6.59881378689285515e-2',
                    '4.68238212480865118e-1', '1.28426009614491121e0', '1e0',
                ]) }}
            ) / {{ far }}
        )
    end
{%- endmacro %}
