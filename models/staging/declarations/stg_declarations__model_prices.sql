{{ declared('model_prices', {
    'model': ['string'],
    'input_usd_per_million_tokens': ['double'],
    'output_usd_per_million_tokens': ['double'],
}) }}
