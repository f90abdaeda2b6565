{{ declared('sequential_bounds', {
    'bounds': ['string'],
    'alpha': ['double'],
    'look': ['bigint'],
    'information_fraction': ['double'],
    'critical_value': ['double'],
}) }}
