{{ declared('decision_points', {
    'decision_point': ['string'],
    'reward_event': ['string'],
    'reward_attribute': ['string'],
    'reward_join': ['string', "'trace'"],
    'reward_window_minutes': ['double'],
    'reward_prior_strength': ['double', '0e0'],
    'reward_model_folds': ['bigint', '1'],
    'context_attribute': ['string'],
    'arm_model': ['string', "'cells'"],
    'exploration_floor': ['double', '0e0'],
}) }}
