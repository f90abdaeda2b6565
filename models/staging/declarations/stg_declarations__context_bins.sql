{{ declared('context_bins', {
    'attribute': ['string'],
    'bin': ['string'],
    'lower': ['double'],
    'upper': ['double'],
}) }}
