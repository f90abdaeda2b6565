{{ declared('preference_signals', {
    'signal_name': ['string'],
    'dimension': ['string'],
    'event_name': ['string'],
    'value_attribute': ['string'],
    'outcome': ['string'],
    'weight': ['double', '1e0'],
}) }}
