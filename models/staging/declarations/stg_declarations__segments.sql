{{ declared('segments', {
    'segment_name': ['string'],
    'source_attribute': ['string'],
}) }}
