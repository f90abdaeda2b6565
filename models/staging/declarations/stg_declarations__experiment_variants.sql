{{ declared('experiment_variants', {
    'experiment_name': ['string'],
    'variant': ['string'],
    'allocation': ['double'],
}) }}
