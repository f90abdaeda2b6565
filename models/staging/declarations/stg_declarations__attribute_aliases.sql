{{ declared('attribute_aliases', {
    'kind': ['string'],
    'canonical_name': ['string'],
    'alias': ['string'],
    'on_events': ['string'],
    'where_values': ['string'],
    'twin_of': ['string'],
    'source': ['string'],
}) }}
