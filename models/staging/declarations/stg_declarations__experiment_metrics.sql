{{ declared('experiment_metrics', {
    'experiment_name': ['string'],
    'metric_name': ['string'],
    'role': ['string', "'exploratory'"],
    'minimum_effect': ['double'],
    'prior_mean': ['double'],
    'prior_std_dev': ['double'],
}) }}
