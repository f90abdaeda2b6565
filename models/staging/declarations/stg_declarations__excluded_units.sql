{{ declared('excluded_units', {
    'rule_name': ['string'],
    'attribute': ['string'],
    'pattern': ['string'],
}) }}
