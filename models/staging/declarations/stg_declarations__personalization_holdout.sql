{{ declared('personalization_holdout', {
    'share': ['double', '0e0'],
    'salt': ['string'],
}) }}
