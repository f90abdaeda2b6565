{{ declared('preference_values', {
    'dimension': ['string'],
    'value': ['string'],
    'label': ['string'],
}) }}
