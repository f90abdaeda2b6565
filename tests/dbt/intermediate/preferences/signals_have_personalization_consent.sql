-- Fails if behaviour says something about a preference against its user's will at that time.
{{ rows_without_consent(ref('int_preference_signals'), 'personalization') }}
