-- Fails if a signal's outcome is a number outside 0 to 1; anything else names an attribute.
with

signals as (
    {{ declared('preference_signals', {'signal_name': ['string'], 'outcome': ['string']}) }}
)

select
    'preferences/preference_signals.csv' as declared_in,
    concat('signal_name ', signal_name) as declared_row,
    concat('outcome is ', outcome, ', not from 0 to 1') as problem
from signals
where not {{ safe_cast_text('outcome', 'double') }} between 0e0 and 1e0
