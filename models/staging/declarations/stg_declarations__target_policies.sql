{{ declared('target_policies', {
    'policy_name': ['string'],
    'decision_point': ['string'],
    'context': ['string'],
    'position': ['bigint'],
    'action': ['string'],
    'probability': ['double', '0e0'],
}) }}
