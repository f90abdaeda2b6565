-- Fails if an event is measured against its user's will at that time; the mirror is
-- consented_events_are_measured.
{{ rows_without_consent(ref('fct_events'), 'measurement') }}
