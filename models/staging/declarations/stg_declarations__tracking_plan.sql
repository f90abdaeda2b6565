{{ declared('tracking_plan', {
    'event_name': ['string'],
    'attribute': ['string'],
    'data_type': ['string', "'string'"],
    'is_required': ['boolean', 'false'],
    'privacy': ['string', "'none'"],
    'purpose': ['string', "'measurement'"],
    'description': ['string'],
}) }}
