{{ declared('preference_dimensions', {
    'dimension': ['string'],
    'default_value': ['string'],
    'context_attributes': ['string'],
    'half_life_days': ['double'],
    'serve_threshold': ['double', '0e0'],
    'is_user_controllable': ['boolean', 'true'],
    'description': ['string'],
}) }}
