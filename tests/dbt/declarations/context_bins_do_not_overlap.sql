-- Fails if two bins of an attribute overlap: a signal would count in both.
with

bins as (
    {{ declared('context_bins', {
        'attribute': ['string'], 'bin': ['string'],
        'lower': ['double', '-1e300'], 'upper': ['double', '1e300'],
    }) }}
)

select
    'preferences/context_bins.csv' as declared_in,
    concat('attribute ', bins.attribute, ', bin ', bins.bin) as declared_row,
    concat('it overlaps with bin ', others.bin) as problem
from bins
inner join bins as others
    on
        bins.attribute = others.attribute
        and bins.bin < others.bin
        and bins.lower < others.upper
        and others.lower < bins.upper
