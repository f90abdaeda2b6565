{{ declared('attribute_aliases', {
    'kind': ['string'],
    'canonical_name': ['string'],
    'alias': ['string'],
    'source': ['string'],
}) }}
