{{ declared('consent_purposes', {
    'purpose': ['string'],
    'granted_by_default': ['boolean', 'false'],
    'description': ['string'],
}) }}
