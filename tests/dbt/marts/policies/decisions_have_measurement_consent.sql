-- Fails if a decision is measured against its user's will at that time.
{{ rows_without_consent(ref('fct_decisions'), 'measurement') }}
