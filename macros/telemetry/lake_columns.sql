{% macro lake_columns(table_name) -%}
    {#- Typed columns of a lake table, as its writer makes them; event_date is the partition. -#}
    {%- set record = {
        'event_id': 'varchar', 'event_name': 'varchar', 'occurred_at': 'timestamp',
        'observed_at': 'timestamp', 'loaded_at': 'timestamp', 'user_id': 'varchar',
        'session_id': 'varchar', 'trace_id': 'varchar', 'span_id': 'varchar',
        'service_name': 'varchar', 'service_version': 'varchar', 'environment': 'varchar',
        'attributes': 'map(varchar, varchar)', 'attribute_types': 'map(varchar, varchar)',
        'batch_id': 'varchar', 'line_number': 'bigint', 'record_number': 'bigint',
    } -%}
    {%- set columns = {
        'log_records': dict(
            record, event_number='bigint', has_record_uid='boolean', is_span_event='boolean',
            event_date='date'
        ),
        'spans': dict(
            record, parent_span_id='varchar', span_name='varchar', duration_ms='double',
            status='varchar', event_date='date'
        ),
        'batches': {
            'batch_id': 'varchar', 'file_name': 'varchar', 'file_bytes': 'bigint',
            'loaded_at': 'timestamp', 'line_count': 'bigint', 'records_in': 'bigint',
            'well_formed': 'bigint', 'rejected': 'bigint', 'log_record_count': 'bigint',
            'span_count': 'bigint', 'span_event_count': 'bigint',
            'first_occurred_at': 'timestamp', 'last_occurred_at': 'timestamp',
        },
        'rejections': {
            'batch_id': 'varchar', 'file_name': 'varchar', 'line_number': 'bigint',
            'record_number': 'bigint', 'reason': 'varchar', 'detail': 'varchar',
            'loaded_at': 'timestamp',
        },
        'pseudonym_links': {
            'pseudonym': 'varchar', 'stable_pseudonym': 'varchar', 'key_id': 'varchar',
            'stable_key_id': 'varchar', 'batch_id': 'varchar', 'loaded_at': 'timestamp',
        },
        'erased_records': {
            'batch_id': 'varchar', 'records': 'bigint', 'erased_at': 'timestamp',
        },
    } -%}
    {{ return(columns[table_name]) }}
{%- endmacro %}
